// RUN: ascend-opt %s -p 'nn-fold-batch-norm' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
  %w = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf32>> : tensor<4x4x1x1xf32>
  %s = nn.constant #nn.blob<"s" : tensor<4xf32>> : tensor<4xf32>
  %c = nn.constant #nn.blob<"c" : tensor<4xf32>> : tensor<4xf32>
  %m = nn.constant #nn.blob<"m" : tensor<4xf32>> : tensor<4xf32>
  %v = nn.constant #nn.blob<"v" : tensor<4xf32>> : tensor<4xf32>
  %y = nn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.batch_norm %y, %s, %c, %m, %v epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  // Alone: a multiplication and an addition.
  %u = nn.batch_norm %x, %s, %c, %m, %v epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  func.return %z, %u : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) {
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf32> | mul0 ("s" : tensor<4xf32> | mul ("v" : tensor<4xf32> | add (splat 1.0e-05 : tensor<4xf32>) | rsqrt))> : tensor<4x4x1x1xf32>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"c" : tensor<4xf32> | sub ("m" : tensor<4xf32> | mul ("s" : tensor<4xf32> | mul ("v" : tensor<4xf32> | add (splat 1.0e-05 : tensor<4xf32>) | rsqrt)))> : tensor<4xf32>
// CHECK-NEXT: [[z:%[0-9a-zA-Z_]+]] = nn.conv [[x]], [[V0]], [[V1]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"s" : tensor<4xf32> | mul ("v" : tensor<4xf32> | add (splat 1.0e-05 : tensor<4xf32>) | rsqrt) | reshape [1, 4, 1, 1]> : tensor<1x4x1x1xf32>
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.mul [[x]], [[V2]] : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: [[V4:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"c" : tensor<4xf32> | sub ("m" : tensor<4xf32> | mul ("s" : tensor<4xf32> | mul ("v" : tensor<4xf32> | add (splat 1.0e-05 : tensor<4xf32>) | rsqrt))) | reshape [1, 4, 1, 1]> : tensor<1x4x1x1xf32>
// CHECK-NEXT: [[u:%[0-9a-zA-Z_]+]] = nn.add [[V3]], [[V4]] : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT: func.return [[z]], [[u]] : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>
// CHECK-NEXT: }
