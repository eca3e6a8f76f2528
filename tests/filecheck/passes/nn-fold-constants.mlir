// RUN: ascend-opt %s -p 'nn-fold-constants' | filecheck %s

func.func @main(%x: tensor<2x8xf32>) -> (tensor<2x4xf32>, tensor<3xf32>) {
  %w = nn.constant #nn.blob<"w" : tensor<4x8xf32>> : tensor<4x8xf32>
  %t = nn.transpose %w perm [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %k = nn.constant #nn.blob<splat 2.0 : tensor<f32>> : tensor<f32>
  %s = nn.mul %t, %k : (tensor<8x4xf32>, tensor<f32>) -> tensor<8x4xf32>
  %y = nn.matmul %x, %s : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  // A few values that need no weight are computed.
  %a = nn.constant #nn.blob<dense [1.0, 4.0, 9.0] : tensor<3xf32>> : tensor<3xf32>
  %b = nn.sqrt %a : tensor<3xf32>
  %c = nn.add %b, %k : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
  func.return %y, %c : tensor<2x4xf32>, tensor<3xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<2x8xf32>) -> (tensor<2x4xf32>, tensor<3xf32>) {
// CHECK-NEXT: [[s:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x8xf32> | transpose [1, 0] | mul (splat 2.0 : tensor<f32>)> : tensor<8x4xf32>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.matmul [[x]], [[s]] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
// CHECK-NEXT: [[c:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<dense [3.0, 4.0, 5.0] : tensor<3xf32>> : tensor<3xf32>
// CHECK-NEXT: func.return [[y]], [[c]] : tensor<2x4xf32>, tensor<3xf32>
// CHECK-NEXT: }
