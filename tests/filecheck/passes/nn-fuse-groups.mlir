// RUN: ascend-opt %s -p 'nn-fuse-groups{explain=true}' | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf16>) -> (tensor<1x4x8x8xf16>, tensor<1x4x8x8xf16>) {
  %w = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16>> : tensor<4x4x1x1xf16>
  %y = nn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16> loc("conv1")
  %s = nn.add %y, %x : tensor<1x4x8x8xf16> loc("add1")
  %r = nn.relu %s : tensor<1x4x8x8xf16> loc("relu1")
  // The largest value of a row is a phase of its own, all in one kernel.
  %m = nn.reduce %r kind max axes [3] keepdims : (tensor<1x4x8x8xf16>) -> tensor<1x4x8x1xf16>
  %d = nn.sub %r, %m : (tensor<1x4x8x8xf16>, tensor<1x4x8x1xf16>) -> tensor<1x4x8x8xf16>
  %e = nn.exp %d : tensor<1x4x8x8xf16>
  func.return %e, %r : tensor<1x4x8x8xf16>, tensor<1x4x8x8xf16>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>) -> (tensor<1x4x8x8xf16>, tensor<1x4x8x8xf16>) {
// CHECK-NEXT: [[w:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<4x4x1x1xf16>> : tensor<4x4x1x1xf16>
// CHECK-NEXT: [[r:%[0-9a-zA-Z_]+]] = nn.group "ConvAddRelu" ([[x]], [[w]]) from ["conv1", "add1", "relu1"] {
// CHECK-NEXT: ^bb0([[x_1:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>, [[w_1:%[0-9a-zA-Z_]+]]: tensor<4x4x1x1xf16>):
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.conv [[x_1]], [[w_1]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.add [[V0]], [[x_1]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.relu [[V1]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: nn.yield [[V2]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: } {refused = ["nn.reduce: not-elementwise", "nn.sub: operand-broadcast", "func.return: not-elementwise"]} : (tensor<1x4x8x8xf16>, tensor<4x4x1x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[e:%[0-9a-zA-Z_]+]] = nn.group "ReduceSubExp" ([[r]]) from [] {
// CHECK-NEXT: ^bb0([[r_1:%[0-9a-zA-Z_]+]]: tensor<1x4x8x8xf16>):
// CHECK-NEXT: [[V0]] = nn.reduce [[r_1]] kind max axes [3] keepdims : (tensor<1x4x8x8xf16>) -> tensor<1x4x8x1xf16>
// CHECK-NEXT: [[V1]] = nn.sub [[r_1]], [[V0]] : (tensor<1x4x8x8xf16>, tensor<1x4x8x1xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: [[V2]] = nn.exp [[V1]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: nn.yield [[V2]] : tensor<1x4x8x8xf16>
// CHECK-NEXT: } : (tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf16>
// CHECK-NEXT: func.return [[e]], [[r]] : tensor<1x4x8x8xf16>, tensor<1x4x8x8xf16>
// CHECK-NEXT: }
