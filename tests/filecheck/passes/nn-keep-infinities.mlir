// RUN: ascend-opt %s -p 'nn-keep-infinities' | filecheck %s

// What an infinity must get through on its way to the comparison is marked; the sum that is only given out is not.

func.func @main(%mask: tensor<4x8xi1>, %x: tensor<4x8xf32>) -> (tensor<4x1xi1>, tensor<4x8xf32>) {
  %zero = nn.constant #nn.blob<splat 0.0 : tensor<f32>> : tensor<f32>
  %inf = nn.constant #nn.blob<splat neg_inf : tensor<f32>> : tensor<f32>
  %b = nn.where %mask, %zero, %inf : (tensor<4x8xi1>, tensor<f32>, tensor<f32>) -> tensor<4x8xf32>
  %m = nn.reduce %b kind max axes [1] keepdims : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %e = nn.equal %m, %inf : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xi1>
  %s = nn.add %x, %x : tensor<4x8xf32>
  func.return %e, %s : tensor<4x1xi1>, tensor<4x8xf32>
}

// CHECK: nn.where %mask, %zero, %inf {exact}
// CHECK: nn.reduce {{%[0-9a-zA-Z_]+}} kind max axes [1] keepdims {exact}
// CHECK: nn.equal
// CHECK: nn.add %x, %x : tensor<4x8xf32>
