// RUN: ascend-opt %s -p 'attach-target{soc=Ascend310P3},ascend-split-reductions,check-ascend' | filecheck %s

func.func @main(%x: tensor<1x16x800x800xf16>) -> (tensor<1x16x800x800xf16>, tensor<1x1xf16>) {
  %a = ascend.trans_data %x : tensor<1x16x800x800xf16> -> tensor<1x16x800x800xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  // One plane of 16 channels would be one core's: its 640000 positions become pieces.
  %y = ascend.group "CastReduceMulSub" (%a) engine vector schedule #ascend.schedule<> from ["norm"] {
  ^bb0(%0: tensor<1x16x800x800xf16>):
    %1 = nn.cast %0 : (tensor<1x16x800x800xf16>) -> tensor<1x16x800x800xf32>
    %2 = nn.reduce %1 kind sum axes [2, 3] keepdims : (tensor<1x16x800x800xf32>) -> tensor<1x16x1x1xf32>
    %3 = nn.constant #nn.blob<splat 1.5625e-06 : tensor<f32>> : tensor<f32>
    %4 = nn.mul %2, %3 : (tensor<1x16x1x1xf32>, tensor<f32>) -> tensor<1x16x1x1xf32>
    %5 = nn.sub %1, %4 : (tensor<1x16x800x800xf32>, tensor<1x16x1x1xf32>) -> tensor<1x16x800x800xf32>
    %6 = nn.cast %5 : (tensor<1x16x800x800xf32>) -> tensor<1x16x800x800xf16>
    nn.yield %6 : tensor<1x16x800x800xf16>
  } : (tensor<1x16x800x800xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x800x800xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  // 4096 elements are too few: three launches would take longer than one.
  %s = nn.constant #nn.blob<"s" : tensor<1x4096xf16>> : tensor<1x4096xf16>
  %t = ascend.group "Reduce" (%s) engine vector schedule #ascend.schedule<> from ["sum"] {
  ^bb0(%0: tensor<1x4096xf16>):
    %1 = nn.reduce %0 kind max axes [1] keepdims : (tensor<1x4096xf16>) -> tensor<1x1xf16>
    nn.yield %1 : tensor<1x1xf16>
  } : (tensor<1x4096xf16>) -> tensor<1x1xf16>
  %z = ascend.trans_data %y : tensor<1x16x800x800xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x16x800x800xf16>
  func.return %z, %t : tensor<1x16x800x800xf16>, tensor<1x1xf16>
}

// CHECK: [[a:%[0-9a-zA-Z_]+]] = ascend.trans_data
// CHECK-NEXT: [[p:%[0-9a-zA-Z_]+]] = ascend.view [[a]] : tensor<1x16x800x800xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x16x1280x500xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[s:%[0-9a-zA-Z_]+]] = ascend.group "CastReduce" ([[p]]) engine vector schedule #ascend.schedule<> from ["norm"] {
// CHECK: nn.reduce {{%[0-9]+}} kind sum axes [3] keepdims : (tensor<1x16x1280x500xf32>) -> tensor<1x16x1280x1xf32>
// CHECK: [[m:%[0-9a-zA-Z_]+]] = ascend.group "ReduceMul" ([[s]]) engine vector schedule #ascend.schedule<> from ["norm"] {
// CHECK-NEXT: ^bb0([[b:%[0-9a-zA-Z_]+]]: tensor<1x16x1280x1xf32>):
// CHECK-NEXT: nn.reduce [[b]] kind sum axes [2, 3] keepdims : (tensor<1x16x1280x1xf32>) -> tensor<1x16x1x1xf32>
// CHECK: ascend.group "CastSubCast" ([[a]], [[m]]) engine vector schedule #ascend.schedule<> from ["norm"] {
// CHECK: ascend.group "Reduce" ({{%[0-9a-zA-Z_]+}}) engine vector
// CHECK-NOT: ascend.group
