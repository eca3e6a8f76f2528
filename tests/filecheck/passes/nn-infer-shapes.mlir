// RUN: ascend-opt %s -p 'nn-infer-shapes' | filecheck %s

func.func @main(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32> {
  %y = nn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>
  %z = nn.relu %y : tensor<1x4x6x6xf32>
  func.return %z : tensor<1x4x6x6xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x3x8x8xf32>, [[w:%[0-9a-zA-Z_]+]]: tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32> {
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.conv [[x]], [[w]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32>
// CHECK-NEXT: [[z:%[0-9a-zA-Z_]+]] = nn.relu [[y]] : tensor<1x4x6x6xf32>
// CHECK-NEXT: func.return [[z]] : tensor<1x4x6x6xf32>
// CHECK-NEXT: }
