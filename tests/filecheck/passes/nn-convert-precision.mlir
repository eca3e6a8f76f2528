// RUN: ascend-opt %s -p 'nn-convert-precision' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32> {
  %w = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf32>> : tensor<4x4x1x1xf32>
  %b = nn.constant #nn.blob<"b" : tensor<4xf32>> : tensor<4xf32>
  %y = nn.conv %x, %w, %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %m = nn.reduce %y kind mean axes [2, 3] keepdims : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
  func.return %m : tensor<1x4x1x1xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32> {
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.cast [[x]] : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf32> | cast f16> : tensor<4x4x1x1xf16>
// CHECK-NEXT: [[b:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"b" : tensor<4xf32>> : tensor<4xf32>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.conv [[V0]], [[V1]], [[b]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>, tensor<4xf32>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.cast [[y]] : (tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<splat 0.015625 : tensor<f32>> : tensor<f32>
// CHECK-NEXT: [[V4:%[0-9a-zA-Z_]+]] = nn.reduce [[V2]] kind sum axes [2, 3] keepdims : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
// CHECK-NEXT: [[m:%[0-9a-zA-Z_]+]] = nn.mul [[V4]], [[V3]] : (tensor<1x4x1x1xf32>, tensor<f32>) -> tensor<1x4x1x1xf32>
// CHECK-NEXT: func.return [[m]] : tensor<1x4x1x1xf32>
// CHECK-NEXT: }
