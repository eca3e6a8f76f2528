// RUN: ascend-opt %s -p ascend-prefetch-weights | filecheck %s

// The second convolution keeps its cores busy while DDR is idle (the first brings its own input and output to L2), the last
// one waits for 4 MB of weights.  So the second also reads a piece of them: 32 bytes times `prefetch` per core and slab.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %z: tensor<1x1024x7x7xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> (tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x2048x7x7xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
    %w1 = nn.constant #nn.blob<"w1" : tensor<32x32x3x3xf16> | pack FRACTAL_Z 16 1> : tensor<32x32x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
    %y0 = ascend.group "Conv" (%x, %w1) engine cube schedule #ascend.schedule<split_items = 1, split_rows = 8, split_columns = 1, rows = 2, m = 14, n = 2, k = 3, k_load = 18, k_piece = 18, weights = resident, slab_depth = 2, weight_depth = 1, pitch = 112, strip = 1, l0_depth = 2> from ["first"] {
    ^bb0(%0: tensor<1x32x112x112xf16>, %1: tensor<32x32x3x3xf16>):
      %2 = nn.conv %0, %1 strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x32x112x112xf16>, tensor<32x32x3x3xf16>) -> tensor<1x32x112x112xf16>
      nn.yield %2 : tensor<1x32x112x112xf16>
    } : (tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<32x32x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    %y = ascend.group "Conv" (%y0, %w1) engine cube schedule #ascend.schedule<split_items = 1, split_rows = 8, split_columns = 1, rows = 2, m = 14, n = 2, k = 3, k_load = 18, k_piece = 18, weights = resident, slab_depth = 2, weight_depth = 1, pitch = 112, strip = 1, l0_depth = 2> from ["a"] {
    ^bb0(%0: tensor<1x32x112x112xf16>, %1: tensor<32x32x3x3xf16>):
      %2 = nn.conv %0, %1 strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x32x112x112xf16>, tensor<32x32x3x3xf16>) -> tensor<1x32x112x112xf16>
      nn.yield %2 : tensor<1x32x112x112xf16>
    } : (tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<32x32x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    %w2 = nn.constant #nn.blob<"w2" : tensor<2048x1024x1x1xf16> | pack FRACTAL_Z 16 1> : tensor<2048x1024x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
    %v = ascend.group "Conv" (%z, %w2) engine cube schedule #ascend.schedule<split_items = 1, split_rows = 1, split_columns = 8, rows = 4, m = 4, n = 8, k = 4, k_load = 8, k_piece = 64, weights = stream, slab_depth = 1, weight_depth = 4, pitch = 0, strip = 0, l0_depth = 2> from ["b"] {
    ^bb0(%0: tensor<1x1024x7x7xf16>, %1: tensor<2048x1024x1x1xf16>):
      %2 = nn.conv %0, %1 strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x1024x7x7xf16>, tensor<2048x1024x1x1xf16>) -> tensor<1x2048x7x7xf16>
      nn.yield %2 : tensor<1x2048x7x7xf16>
    } : (tensor<1x1024x7x7xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<2048x1024x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x2048x7x7xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %y, %v : tensor<1x32x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x2048x7x7xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}

// CHECK:      [[w1:%.*]] = nn.constant #nn.blob<"w1"
// CHECK-NEXT: [[y0:%.*]] = ascend.group "Conv" (%x, [[w1]]) engine cube
// CHECK:      [[w2:%.*]] = nn.constant #nn.blob<"w2"
// CHECK-NEXT: ascend.group "Conv" ([[y0]], [[w1]], [[w2]]) engine cube schedule #ascend.schedule<{{.*}}, prefetch = [{{[0-9]+}}], prefetch_from = [0]> from ["a"] {
// CHECK-NEXT: ^{{.*}}({{%.*}}: tensor<1x32x112x112xf16>, {{%.*}}: tensor<32x32x3x3xf16>, {{%.*}}: tensor<2048x1024x1x1xf16{{.*}}>):
// CHECK:      ascend.group "Conv" (%z, [[w2]]) engine cube schedule #ascend.schedule<split_items = 1, split_rows = 1, {{.*}}l0_depth = 2> from ["b"] {
