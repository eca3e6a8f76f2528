// RUN: ascend-opt %s -p 'convert-nn-to-ascend,ascend-assign-layouts,check-ascend' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf16>) -> tensor<1x8x8x4xf16> {
  %w = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16>> : tensor<4x4x1x1xf16>
  %y = nn.group "ConvRelu" (%x, %w) from ["conv1", "relu1"] {
  ^bb0(%a: tensor<1x4x8x8xf16>, %k: tensor<4x4x1x1xf16>):
    %0 = nn.conv %a, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
    %1 = nn.relu %0 : tensor<1x4x8x8xf16>
    nn.yield %1 : tensor<1x4x8x8xf16>
  } : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
  // Both groups agree on NC1HWC0: one TransData at each border, and the last writes NHWC, which makes the transposition a view.
  %z = nn.group "ConvRelu" (%y, %w) from ["conv2", "relu2"] {
  ^bb0(%a: tensor<1x4x8x8xf16>, %k: tensor<4x4x1x1xf16>):
    %0 = nn.conv %a, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
    %1 = nn.relu %0 : tensor<1x4x8x8xf16>
    nn.yield %1 : tensor<1x4x8x8xf16>
  } : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
  %t = nn.group "Transpose" (%z) from ["t"] {
  ^bb0(%a: tensor<1x4x8x8xf16>):
    %0 = nn.transpose %a perm [0, 2, 3, 1] : (tensor<1x4x8x8xf16>) -> tensor<1x8x8x4xf16>
    nn.yield %0 : tensor<1x8x8x4xf16>
  } : (tensor<1x4x8x8xf16>) -> tensor<1x8x8x4xf16>
  func.return %t : tensor<1x8x8x4xf16>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>) -> tensor<1x8x8x4xf16> {
// CHECK-NEXT: [[x_1:%[0-9a-zA-Z_]+]] = ascend.trans_data [[x]] : tensor<1x4x8x8xf16> -> tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[w:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16> | pack FRACTAL_Z 16 1> : tensor<4x4x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = ascend.group "ConvRelu" ([[x_1]], [[w]]) engine cube schedule #ascend.schedule<> from ["conv1", "relu1"] {
// CHECK-NEXT: ^bb0([[a:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>, [[k:%[0-9a-zA-Z_]+]]: tensor<4x4x1x1xf16>):
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.conv [[a]], [[k]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.relu [[V0]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: nn.yield [[V1]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: } : (tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<4x4x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[z:%[0-9a-zA-Z_]+]] = ascend.group "ConvRelu" ([[y]], [[w]]) engine cube schedule #ascend.schedule<> from ["conv2", "relu2"] {
// CHECK-NEXT: ^bb0([[a_1:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>, [[k_1:%[0-9a-zA-Z_]+]]: tensor<4x4x1x1xf16>):
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.conv [[a_1]], [[k_1]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.relu [[V2]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: nn.yield [[V3]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: } : (tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<4x4x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>) -> tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[z_1:%[0-9a-zA-Z_]+]] = ascend.trans_data [[z]] : tensor<1x4x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x4x8x8xf16, #ascend.layout<NHWC>>
// CHECK-NEXT: [[t:%[0-9a-zA-Z_]+]] = ascend.view [[z_1]] perm [0, 2, 3, 1] : tensor<1x4x8x8xf16, #ascend.layout<NHWC>> -> tensor<1x8x8x4xf16>
// CHECK-NEXT: func.return [[t]] : tensor<1x8x8x4xf16>
// CHECK-NEXT: }
