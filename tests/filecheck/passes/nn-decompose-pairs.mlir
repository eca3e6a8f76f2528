// RUN: ascend-opt %s -p 'nn-decompose' | filecheck %s

// A reduction of pairs is elementwise work on two parts, which are cut apart where they lie one behind the other.
// CHECK: nn.reshape %x : (tensor<128x128x2xf32>) -> tensor<16384x2xf32>
// CHECK: [[turned:%.*]] = nn.transpose {{.*}} perm [1, 0]{{.*}}
// CHECK: [[a:%.*]] = nn.slice [[turned]] starts [0, 0] sizes [1, 16384]
// CHECK: [[b:%.*]] = nn.slice [[turned]] starts [1, 0] sizes [1, 16384]
// CHECK: nn.add [[a]], [[b]] {precise}
// CHECK-NOT: nn.reduce
func.func @main(%x: tensor<128x128x2xf32>) -> tensor<128x128xf32> {
  %y = nn.reduce %x kind sum axes [2] : (tensor<128x128x2xf32>) -> tensor<128x128xf32>
  func.return %y : tensor<128x128xf32>
}
