// RUN: ascend-opt %s --verify-diagnostics -p check-ascend | filecheck %s

func.func @main(%x: tensor<1x16x4x4xf16>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
  %w = nn.constant #nn.blob<"w" : tensor<16x16x1x1xf16>> : tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
  %a = ascend.trans_data %x : tensor<1x16x4x4xf16> -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %y = ascend.group "Conv" (%a, %w) engine vector schedule #ascend.schedule<> from ["conv1"] {
  ^bb0(%p: tensor<1x16x4x4xf16>, %k: tensor<16x16x1x1xf16>):
    %0 = nn.conv %p, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x16x4x4xf16>, tensor<16x16x1x1xf16>) -> tensor<1x16x4x4xf16>
    nn.yield %0 : tensor<1x16x4x4xf16>
  } : (tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  func.return %y : tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
}

// CHECK: level ascend breaks its promises:
// CHECK-NEXT: nn.constant: expected a packed blob for tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
// CHECK-NEXT: group "Conv" ['conv1']: expected convolutions and matmuls on the cube, got engine vector
// CHECK-NEXT: output 0: expected ND, got NC1HWC0, c0 = 16
