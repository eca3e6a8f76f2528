// RUN: ascend-opt %s -p 'nn-convert-precision' | filecheck %s

// A weight that f16 does not hold is scaled down, and the result back up in f32; the exponent of the data counts where
// the product is to be f32 only.  A sum with 1e-10 and what divides by it stay in f32: f16 knows no 1e-10.
func.func @main(%x: tensor<8x64xf32>) -> (tensor<8x32xf32>, tensor<8x64xf32>) {
  %w = nn.constant #nn.blob<"w" : tensor<64x32xf32>> : tensor<64x32xf32>
  %e = nn.constant #nn.blob<splat 1.0e-10 : tensor<f32>> : tensor<f32>
  %y = nn.matmul %x, %w {exponents = array<i64: 6, 13>} : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32>
  %a = nn.abs %x : tensor<8x64xf32>
  %s = nn.add %a, %e : (tensor<8x64xf32>, tensor<f32>) -> tensor<8x64xf32>
  %d = nn.div %x, %s : tensor<8x64xf32>
  func.return %y, %d : tensor<8x32xf32>, tensor<8x64xf32>
}

// CHECK: nn.constant #nn.blob<"w" : tensor<64x32xf32> | mul (splat 0.00012207031 : tensor<f32>) | cast f16> : tensor<64x32xf16>
// CHECK-NEXT: [[P:%[0-9a-zA-Z_]+]] = nn.matmul {{.*}} : (tensor<8x64xf16>, tensor<64x32xf16>) -> tensor<8x32xf16>
// CHECK-NEXT: [[WIDE:%[0-9a-zA-Z_]+]] = nn.cast [[P]] : (tensor<8x32xf16>) -> tensor<8x32xf32>
// CHECK-NEXT: [[UP:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<splat 8192.0 : tensor<f32>> : tensor<f32>
// CHECK-NEXT: nn.mul [[WIDE]], [[UP]] : (tensor<8x32xf32>, tensor<f32>) -> tensor<8x32xf32>
// CHECK: nn.abs {{.*}} : tensor<8x64xf16>
// CHECK: nn.add {{.*}} : (tensor<8x64xf32>, tensor<f32>) -> tensor<8x64xf32>
// CHECK: nn.div {{.*}} : tensor<8x64xf32>
