// RUN: ascend-opt %s -p 'nn-keep-infinities' | filecheck %s

// The power of a spectrum and its logarithm stay in f32; the scale behind the logarithm need not.

func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %quiet = nn.constant #nn.blob<splat 1.0e-10 : tensor<f32>> : tensor<f32>
  %ten = nn.constant #nn.blob<splat 10.0 : tensor<f32>> : tensor<f32>
  %t = nn.tanh %x : tensor<4x8xf32>
  %p = nn.mul %t, %t : tensor<4x8xf32>
  %s = nn.add %p, %quiet : (tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
  %l = nn.log %s : tensor<4x8xf32>
  %d = nn.mul %l, %ten : (tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
  func.return %d : tensor<4x8xf32>
}

// CHECK: nn.tanh %x : tensor<4x8xf32>
// CHECK: nn.mul %t, %t {exact}
// CHECK: nn.add %p, %quiet {exact}
// CHECK: nn.log %s {exact}
// CHECK: nn.mul %l, %ten : (
