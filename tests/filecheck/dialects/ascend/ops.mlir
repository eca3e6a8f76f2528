// RUN: ASCEND_ROUNDTRIP
// RUN: ASCEND_GENERIC

func.func @main(%x: tensor<1x32x4x4xf16>, %s: tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>) -> (tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x4x4x32xf16>, tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>) {
  %a = ascend.trans_data %x : tensor<1x32x4x4xf16> -> tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %w = nn.constant #nn.blob<"w" : tensor<32x4x3x3xf16> | pack FRACTAL_Z 16 8> : tensor<32x4x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16, groups = 8>>
  %y = ascend.group "ConvRelu" (%a, %w) engine cube schedule #ascend.schedule<rows = 2, double = [l0a, ub], tile = [16, 32], path = "a b"> from ["conv1", "relu1"] {
  ^bb0(%p: tensor<1x32x4x4xf16>, %k: tensor<32x4x3x3xf16>):
    %0 = nn.conv %p, %k strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 8 : (tensor<1x32x4x4xf16>, tensor<32x4x3x3xf16>) -> tensor<1x32x4x4xf16>
    %1 = nn.relu %0 : tensor<1x32x4x4xf16>
    nn.yield %1 : tensor<1x32x4x4xf16>
  } : (tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<32x4x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16, groups = 8>>) -> tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %h = ascend.slice_view %y starts [0, 16, 0, 0] : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %z = ascend.group "Relu" (%h) engine vector schedule #ascend.schedule<> {
  ^bb0(%p: tensor<1x16x4x4xf16>):
    %0 = nn.relu %p : tensor<1x16x4x4xf16>
    nn.yield %0 : tensor<1x16x4x4xf16>
  } : (tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %r = ascend.group "Relu" (%h) engine vector schedule #ascend.schedule<> from ["r"] attributes {refused = ["x"]} {
  ^bb0(%p: tensor<1x16x4x4xf16>):
    %0 = nn.relu %p : tensor<1x16x4x4xf16>
    nn.yield %0 : tensor<1x16x4x4xf16>
  } : (tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %c = ascend.concat_view %y, %z, %r axis 1 : (tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  %n = ascend.trans_data %y : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x32x4x4xf16, #ascend.layout<NHWC>>
  %v = ascend.view %n perm [0, 2, 3, 1] : tensor<1x32x4x4xf16, #ascend.layout<NHWC>> -> tensor<1x4x4x32xf16>
  func.return %c, %v, %s : tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x4x4x32xf16>, tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x32x4x4xf16>, [[s:%[0-9a-zA-Z_]+]]: tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>) -> (tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x4x4x32xf16>, tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>) {
// CHECK-NEXT: [[a:%[0-9a-zA-Z_]+]] = ascend.trans_data [[x]] : tensor<1x32x4x4xf16> -> tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[w:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<32x4x3x3xf16> | pack FRACTAL_Z 16 8> : tensor<32x4x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16, groups = 8>>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = ascend.group "ConvRelu" ([[a]], [[w]]) engine cube schedule #ascend.schedule<rows = 2, double = [l0a, ub], tile = [16, 32], path = "a b"> from ["conv1", "relu1"] {
// CHECK-NEXT: ^bb0([[p:%[0-9a-zA-Z_]+]]: tensor<1x32x4x4xf16>, [[k:%[0-9a-zA-Z_]+]]: tensor<32x4x3x3xf16>):
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.conv [[p]], [[k]] strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 8 : (tensor<1x32x4x4xf16>, tensor<32x4x3x3xf16>) -> tensor<1x32x4x4xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.relu [[V0]] : tensor<1x32x4x4xf16>
// CHECK-NEXT: nn.yield [[V1]] : tensor<1x32x4x4xf16>
// CHECK-NEXT: } : (tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<32x4x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16, groups = 8>>) -> tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[h:%[0-9a-zA-Z_]+]] = ascend.slice_view [[y]] starts [0, 16, 0, 0] : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[z:%[0-9a-zA-Z_]+]] = ascend.group "Relu" ([[h]]) engine vector schedule #ascend.schedule<> {
// CHECK-NEXT: ^bb0([[p_1:%[0-9a-zA-Z_]+]]: tensor<1x16x4x4xf16>):
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.relu [[p_1]] : tensor<1x16x4x4xf16>
// CHECK-NEXT: nn.yield [[V2]] : tensor<1x16x4x4xf16>
// CHECK-NEXT: } : (tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[r:%[0-9a-zA-Z_]+]] = ascend.group "Relu" ([[h]]) engine vector schedule #ascend.schedule<> from ["r"] attributes {refused = ["x"]} {
// CHECK-NEXT: ^bb0([[p_2:%[0-9a-zA-Z_]+]]: tensor<1x16x4x4xf16>):
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.relu [[p_2]] : tensor<1x16x4x4xf16>
// CHECK-NEXT: nn.yield [[V3]] : tensor<1x16x4x4xf16>
// CHECK-NEXT: } : (tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[c:%[0-9a-zA-Z_]+]] = ascend.concat_view [[y]], [[z]], [[r]] axis 1 : (tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x16x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NEXT: [[n:%[0-9a-zA-Z_]+]] = ascend.trans_data [[y]] : tensor<1x32x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x32x4x4xf16, #ascend.layout<NHWC>>
// CHECK-NEXT: [[v:%[0-9a-zA-Z_]+]] = ascend.view [[n]] perm [0, 2, 3, 1] : tensor<1x32x4x4xf16, #ascend.layout<NHWC>> -> tensor<1x4x4x32xf16>
// CHECK-NEXT: func.return [[c]], [[v]], [[s]] : tensor<1x64x4x4xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x4x4x32xf16>, tensor<1x16xf16, #ascend.layout<ND, pitch = 64>>
// CHECK-NEXT: }
