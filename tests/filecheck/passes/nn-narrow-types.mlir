// RUN: ascend-opt %s -p 'nn-narrow-types' | filecheck %s

// An input has at most 32 bits (the session sees to it), so positions compared with it fit; a sum of two inputs may not.

func.func @main(%x: tensor<8xi64>, %b: tensor<8xbf16>) -> (tensor<8xi1>, tensor<8xi64>, tensor<8xbf16>) attributes {input_names = ["x", "b"], output_names = ["c", "s", "r"]} {
  %k = nn.constant #nn.blob<splat 5 : tensor<8xi64>> : tensor<8xi64>
  %c = nn.less %x, %k : (tensor<8xi64>, tensor<8xi64>) -> tensor<8xi1>
  %s = nn.add %x, %x : tensor<8xi64>
  %r = nn.exp %b : tensor<8xbf16>
  func.return %c, %s, %r : tensor<8xi1>, tensor<8xi64>, tensor<8xbf16>
}

// CHECK: nn.cast %b : (tensor<8xbf16>) -> tensor<8xf32>
// CHECK: [[x:%[0-9a-zA-Z_]+]] = nn.cast %x : (tensor<8xi64>) -> tensor<8xi32>
// CHECK: nn.constant #nn.blob<splat 5 : tensor<8xi32>> : tensor<8xi32>
// CHECK: nn.less [[x]], {{%[0-9a-zA-Z_]+}} : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi1>
// CHECK: nn.add %x, %x : tensor<8xi64>
// CHECK: [[e:%[0-9a-zA-Z_]+]] = nn.exp {{%[0-9a-zA-Z_]+}} : tensor<8xf32>
// CHECK: nn.cast [[e]] : (tensor<8xf32>) -> tensor<8xbf16>
