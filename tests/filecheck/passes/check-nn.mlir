// RUN: ascend-opt %s -p 'check-nn' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf16> {
  %w = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16>> : tensor<4x4x1x1xf16>
  %y = nn.group "ConvRelu" (%x, %w) from ["conv1", "relu1"] {
  ^bb0(%a: tensor<1x4x8x8xf16>, %k: tensor<4x4x1x1xf16>):
    %0 = nn.conv %a, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
    %1 = nn.relu %0 : tensor<1x4x8x8xf16>
    nn.yield %1 : tensor<1x4x8x8xf16>
  } : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
  func.return %y : tensor<1x4x8x8xf16>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf16> {
// CHECK-NEXT: [[w:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16>> : tensor<4x4x1x1xf16>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.group "ConvRelu" ([[x]], [[w]]) from ["conv1", "relu1"] {
// CHECK-NEXT: ^bb0([[a:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>, [[k:%[0-9a-zA-Z_]+]]: tensor<4x4x1x1xf16>):
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.conv [[a]], [[k]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.relu [[V0]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: nn.yield [[V1]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: } : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: func.return [[y]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: }
