// RUN: ascend-opt %s -p ascend-to-davinci | filecheck %s

// Loops over tiles, buffers with a memory and a size, one op per machine instruction; no addresses on chip, no flags.
// The bias is a product, ones times its two f16 terms (decision 0011). With 2 rows per tile the last tile is a whole one; the halo at the image border is an operand (pad_top, fm_height).
// What this test holds fast is the order of the instructions and their sizes, not the scalar arithmetic between them.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %r: tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
    %w = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf16> | pack FRACTAL_Z 16 1> : tensor<64x64x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
    %b = nn.constant #nn.blob<"b" : tensor<64xf32> | pack NC1HWC0 16 1> : tensor<64xf32, #ascend.layout<NC1HWC0, c0 = 16>>
    %y = ascend.group "ConvAddRelu" (%x, %w, %b, %r) engine cube schedule #ascend.schedule<split_items = 1, split_rows = 4, split_columns = 2, rows = 2, m = 7, n = 2, k = 9, k_load = 9, k_piece = 9, weights = resident, slab_depth = 6, weight_depth = 1> from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"] {
    ^bb0(%0: tensor<1x64x56x56xf16>, %1: tensor<64x64x3x3xf16>, %2: tensor<64xf32>, %3: tensor<1x64x56x56xf16>):
      %4 = nn.conv %0, %1, %2 strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>) -> tensor<1x64x56x56xf16>
      %5 = nn.add %4, %3 : tensor<1x64x56x56xf16>
      %6 = nn.relu %5 : tensor<1x64x56x56xf16>
      nn.yield %6 : tensor<1x64x56x56xf16>
    } : (tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<64x64x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>, tensor<64xf32, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %y : tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}

// CHECK:      davinci.kernel @conv_add_relu_[[id:[0-9a-f]+]]([[x:%.*]]: !davinci.gm, [[w:%.*]]: !davinci.gm, [[b:%.*]]: !davinci.gm, [[r:%.*]]: !davinci.gm, [[y:%.*]]: !davinci.gm) blocks 8 attributes {granules = {{[0-9]+}} : i64} {
// CHECK:      davinci.block_idx
// CHECK:      [[ones:%.*]] = davinci.alloc : !davinci.buffer<l0a, 3584>
// CHECK-NEXT: davinci.set_2d f16 [[ones]], value 15360, repeat 7
// CHECK:      [[bias:%.*]] = davinci.alloc : !davinci.buffer<ub, 128>
// CHECK:      davinci.copy_gm_to_ubuf [[bias]], [[b]][{{.*}}], bursts 1, length 4
// CHECK:      davinci.vconv f322f16 [[high:%.*]], [[bias]], repeat 2
// CHECK-NEXT: davinci.vconv f162f32 [[back:%.*]], [[high]], repeat 2
// CHECK-NEXT: davinci.vsub f32 [[bias]], [[bias]], [[back]], repeat 2
// CHECK-NEXT: davinci.vconv f322f16 [[high]][32], [[bias]], repeat 2
// CHECK:      [[rows:%.*]] = davinci.alloc : !davinci.buffer<l0b, 1024>
// CHECK-NEXT: davinci.load2d f16 [[rows]], {{%.*}}, repeat 2, transpose 1
// CHECK:      [[weights:%.*]] = davinci.alloc : !davinci.buffer<l1, 36864>
// CHECK:      scf.for
// CHECK:      [[res:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 7168>
// CHECK:      davinci.copy_gm_to_ubuf [[res]], [[r]][{{.*}}], bursts 2, length 112
// CHECK:      [[c:%.*]] = davinci.alloc depth 2 : !davinci.buffer<l0c, 14336>
// CHECK-NEXT: davinci.mad f32f16f16 [[c]], [[ones]], [[rows]], m 112, k 2, n 32, init 1
// CHECK:      scf.for
// CHECK:      [[slab:%.*]] = davinci.alloc depth 6 : !davinci.buffer<l1, 7168>
// CHECK:      davinci.copy_gm_to_cbuf [[slab]], [[x]][{{.*}}], bursts 1, length {{%.*}}, src_gap {{%.*}}, bytes [7168, 7168]
// CHECK:      davinci.copy_gm_to_cbuf [[weights]][{{.*}}], [[w]][{{.*}}]
// CHECK:      [[a:%.*]] = davinci.alloc depth 2 : !davinci.buffer<l0a, 32256>
// CHECK:      [[k:%.*]] = davinci.alloc depth 2 : !davinci.buffer<l0b, 9216>
// CHECK:      davinci.load3d f16 [[a]], [[slab]], m_extent 112, k_extent 144, filter_w 3, filter_h 3, channels 16, fm_width 56, fm_height {{%.*}}, pad_left 1, pad_right 1, pad_top {{%.*}}, pad_bottom {{%.*}}
// CHECK-NEXT: davinci.load2d f16 [[k]], [[weights]][{{.*}}], repeat 18
// CHECK-NEXT: davinci.mad f32f16f16 [[c]], [[a]], [[k]], m 112, k 144, n 32
// CHECK-NEXT: }
// CHECK-NEXT: [[u:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 7168>
// CHECK-NEXT: davinci.copy_matrix_cc_to_ubuf f322f16 [[u]], [[c]], bursts 1, length 14
// CHECK-NEXT: davinci.vadd f16 [[u]], [[u]], [[res]], repeat 28
// CHECK-NEXT: davinci.vrelu f16 [[u]], [[u]], repeat 28
// CHECK-NEXT: davinci.copy_ubuf_to_gm [[y]][{{.*}}], [[u]], bursts 2, length 112, dst_gap 3024
// CHECK-NEXT: }
// CHECK-NOT:  flag
// CHECK:      davinci.launch @conv_add_relu_[[id]](%x, %w, %b, %r) workspace [] from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"] {label = "ConvAddRelu", engine = "cube"}
