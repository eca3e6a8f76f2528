// RUN: ascend-opt %s -p 'nn-keep-infinities' | filecheck %s

// Squares, the root of their sum and the division by it stay in f32; what is squared need not.  The angle of a sine is
// made of positions only: it stays in f32 up to the input.

func.func @main(%x: tensor<4x8xf32>, %position: tensor<4x1xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %small = nn.constant #nn.blob<splat 1.0e-06 : tensor<f32>> : tensor<f32>
  %frequencies = nn.constant #nn.blob<"f" : tensor<1x8xf32>> : tensor<1x8xf32>
  %t = nn.tanh %x : tensor<4x8xf32>
  %q = nn.mul %t, %t : tensor<4x8xf32>
  %m = nn.reduce %q kind mean axes [1] keepdims : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %a = nn.add %m, %small : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %r = nn.sqrt %a : tensor<4x1xf32>
  %d = nn.div %t, %r : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %angle = nn.matmul %position, %frequencies : (tensor<4x1xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  %s = nn.sin %angle : tensor<4x8xf32>
  func.return %d, %s : tensor<4x8xf32>, tensor<4x8xf32>
}

// CHECK: nn.tanh %x : tensor<4x8xf32>
// CHECK-NEXT: nn.mul {{.*}} {exact}
// CHECK-NEXT: nn.reduce {{.*}} {exact}
// CHECK-NEXT: nn.add {{.*}} {exact}
// CHECK-NEXT: nn.sqrt {{.*}} {exact}
// CHECK-NEXT: nn.div {{.*}} {exact}
// CHECK-NEXT: nn.matmul {{.*}} {exact}
// CHECK-NEXT: nn.sin %angle : tensor<4x8xf32>
