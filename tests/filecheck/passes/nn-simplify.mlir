// RUN: ascend-opt %s -p 'nn-simplify' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf32>) -> (tensor<1x4x6x6xf32>, tensor<1x4x8x8xf32>, tensor<4x64xf32>) {
  %zero = nn.constant #nn.blob<splat 0.0 : tensor<f32>> : tensor<f32>
  %three = nn.constant #nn.blob<splat 3.0 : tensor<f32>> : tensor<f32>
  %w = nn.constant #nn.blob<"w" : tensor<4x4x3x3xf32>> : tensor<4x4x3x3xf32>
  %a = nn.add %x, %zero : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  %y = nn.conv %a, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>) -> tensor<1x4x6x6xf32>
  %d = nn.div %y, %three : (tensor<1x4x6x6xf32>, tensor<f32>) -> tensor<1x4x6x6xf32>
  %r = nn.max %d, %zero : (tensor<1x4x6x6xf32>, tensor<f32>) -> tensor<1x4x6x6xf32>
  %t1 = nn.transpose %x perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  %t2 = nn.transpose %t1 perm [0, 3, 1, 2] : (tensor<1x8x8x4xf32>) -> tensor<1x4x8x8xf32>
  %e = nn.exp %t2 : tensor<1x4x8x8xf32>
  %r1 = nn.reshape %x : (tensor<1x4x8x8xf32>) -> tensor<2x128xf32>
  %r2 = nn.reshape %r1 : (tensor<2x128xf32>) -> tensor<4x64xf32>
  func.return %r, %e, %r2 : tensor<1x4x6x6xf32>, tensor<1x4x8x8xf32>, tensor<4x64xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf32>) -> (tensor<1x4x6x6xf32>, tensor<1x4x8x8xf32>, tensor<4x64xf32>) {
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x3x3xf32> | mul0 (splat 0.33333334 : tensor<4xf32>)> : tensor<4x4x3x3xf32>
// CHECK-NEXT: [[d:%[0-9a-zA-Z_]+]] = nn.conv [[x]], [[V0]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>) -> tensor<1x4x6x6xf32>
// CHECK-NEXT: [[r:%[0-9a-zA-Z_]+]] = nn.relu [[d]] : tensor<1x4x6x6xf32>
// CHECK-NEXT: [[e:%[0-9a-zA-Z_]+]] = nn.exp [[x]] : tensor<1x4x8x8xf32>
// CHECK-NEXT: [[r2:%[0-9a-zA-Z_]+]] = nn.reshape [[x]] : (tensor<1x4x8x8xf32>) -> tensor<4x64xf32>
// CHECK-NEXT: func.return [[r]], [[e]], [[r2]] : tensor<1x4x6x6xf32>, tensor<1x4x8x8xf32>, tensor<4x64xf32>
// CHECK-NEXT: }
