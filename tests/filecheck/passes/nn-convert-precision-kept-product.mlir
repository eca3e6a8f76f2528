// RUN: ascend-opt %s -p 'nn-convert-precision{keep=proj}' --print-debuginfo | filecheck %s

// A product that is kept in f32: an operand is scaled down, the f16 result is scaled back in f32.
func.func @main(%x: tensor<8x64xf32>) -> tensor<8x32xf32> {
  %w = nn.constant #nn.blob<"w" : tensor<64x32xf32>> : tensor<64x32xf32>
  %y = nn.matmul %x, %w : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32> loc("proj")
  func.return %y : tensor<8x32xf32>
}

// CHECK: [[SMALL:%[0-9a-zA-Z_]+]] = nn.mul [[X:%[0-9a-zA-Z_]+]], [[DOWN:%[0-9a-zA-Z_]+]] : (tensor<8x64xf32>, tensor<f32>) -> tensor<8x64xf32>
// CHECK-NEXT: [[HALF:%[0-9a-zA-Z_]+]] = nn.cast [[SMALL]] : (tensor<8x64xf32>) -> tensor<8x64xf16>
// CHECK-NEXT: [[P:%[0-9a-zA-Z_]+]] = nn.matmul [[HALF]], [[W:%[0-9a-zA-Z_]+]] : (tensor<8x64xf16>, tensor<64x32xf16>) -> tensor<8x32xf16>
// CHECK-NEXT: [[WIDE:%[0-9a-zA-Z_]+]] = nn.cast [[P]] : (tensor<8x32xf16>) -> tensor<8x32xf32>
// CHECK-NEXT: [[UP:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<splat 64.0 : tensor<f32>> : tensor<f32>
// CHECK-NEXT: nn.mul [[WIDE]], [[UP]] : (tensor<8x32xf32>, tensor<f32>) -> tensor<8x32xf32>
