// RUN: ascend-opt %s -p ascend-to-davinci --split-input-file | filecheck %s

// 16 channels become the lanes of a block: rows of pixels are loaded, turned 16 x 16 at a time, stored as one run.
// CHECK: davinci.kernel @trans_data_{{.*}} blocks 8 attributes {granules = {{[0-9]+}} : i64} {
// CHECK: scf.for
// CHECK: [[rows:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 49152>
// CHECK: davinci.copy_gm_to_ubuf [[rows]]
// CHECK: [[turned:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 49152>
// CHECK-NEXT: davinci.vnchwconv u16 [[turned]], [[rows]], repeat 96, dst_rep 16, src_rep 1, dst_row_stride 1, src_row_stride 96
// CHECK: davinci.copy_ubuf_to_gm {{.*}}, [[turned]], bursts 1
// CHECK-NOT: davinci.copy
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x64x112x112xf16>) -> tensor<1x64x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
    %y = ascend.trans_data %x : tensor<1x64x112x112xf16> -> tensor<1x64x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %y : tensor<1x64x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}

// -----

// Rows of 225 numbers are no whole blocks, but 16 of them are: they are loaded and stored in 16 phases.
// The last phase ends with blocks that hold the last 32 bytes of its rows, so that it spoils no other row.
// CHECK: davinci.kernel @slice_{{.*}} blocks 4 attributes {granules = {{[0-9]+}} : i64} {
// CHECK: scf.for
// CHECK: davinci.copy_gm_to_ubuf {{.*}} length 15
// CHECK: scf.for
// CHECK: davinci.copy_ubuf_to_gm {{.*}} length 15
// CHECK: davinci.vnchwconv u16
// CHECK-NEXT: davinci.vnchwconv u16
// CHECK-NEXT: davinci.vnchwconv u16
// CHECK: davinci.copy_ubuf_to_gm {{.*}} length 14
// CHECK: davinci.copy_ubuf_to_gm {{.*}} bursts 1, length 1,
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<64x230xf16>) -> tensor<64x225xf16> {
    %y = ascend.group "Slice" (%x) engine move schedule #ascend.schedule<> {
    ^bb0(%0: tensor<64x230xf16>):
      %1 = nn.slice %0 starts [0, 2] sizes [64, 225] steps [1, 1] : (tensor<64x230xf16>) -> tensor<64x225xf16>
      nn.yield %1 : tensor<64x225xf16>
    } : (tensor<64x230xf16>) -> tensor<64x225xf16>
    func.return %y : tensor<64x225xf16>
  }
}

// -----

// Channels end at whole blocks: plain DMA, one loop per operand, a part of it for every core.
// CHECK: davinci.kernel @concat_{{.*}}
// CHECK-NOT: davinci.v
// CHECK: davinci.copy_gm_to_ubuf
// CHECK: davinci.copy_ubuf_to_gm
// CHECK: davinci.copy_gm_to_ubuf
// CHECK: davinci.copy_ubuf_to_gm
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%a: tensor<1x32x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %b: tensor<1x48x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x80x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
    %y = ascend.group "Concat" (%a, %b) engine move schedule #ascend.schedule<> {
    ^bb0(%0: tensor<1x32x40x40xf16>, %1: tensor<1x48x40x40xf16>):
      %2 = nn.concat %0, %1 axis 1 : (tensor<1x32x40x40xf16>, tensor<1x48x40x40xf16>) -> tensor<1x80x40x40xf16>
      nn.yield %2 : tensor<1x80x40x40xf16>
    } : (tensor<1x32x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x48x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x80x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %y : tensor<1x80x40x40xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}

// -----

// Rows of a table by indices from memory: the scalar unit reads an index, wraps it, and makes an address of it.
// CHECK: davinci.kernel @gather_{{.*}} blocks 8 attributes {granules = 128 : i64} {
// CHECK: davinci.copy_gm_to_ubuf [[indices:%[0-9]+]], %{{.*}} bursts 1, length 4
// CHECK: scf.for
// CHECK: [[index:%[0-9]+]] = davinci.load_scalar [[indices]][%{{.*}}], bytes 8
// CHECK-NEXT: arith.minsi [[index]]
// CHECK-NEXT: arith.maxsi
// CHECK: [[row:%[0-9]+]] = arith.remui
// CHECK-NEXT: davinci.offset 0 + %{{.*}} * 1536
// CHECK-NEXT: davinci.offset 0 + [[row]] * 1536
// CHECK-NEXT: davinci.copy_gm_to_ubuf {{.*}} bursts 1, length 48
// CHECK: davinci.copy_ubuf_to_gm {{.*}} bursts 1, length 768
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<30522x768xf16>, %i: tensor<128xi64>) -> tensor<128x768xf16> {
    %y = ascend.group "Gather" (%x, %i) engine move schedule #ascend.schedule<> {
    ^bb0(%0: tensor<30522x768xf16>, %1: tensor<128xi64>):
      %2 = nn.gather %0, %1 axis 0 : (tensor<30522x768xf16>, tensor<128xi64>) -> tensor<128x768xf16>
      nn.yield %2 : tensor<128x768xf16>
    } : (tensor<30522x768xf16>, tensor<128xi64>) -> tensor<128x768xf16>
    func.return %y : tensor<128x768xf16>
  }
}
