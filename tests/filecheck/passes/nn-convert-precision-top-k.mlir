// RUN: ascend-opt %s -p 'nn-convert-precision{keep="kept"}' | filecheck %s

// What was computed in f16 is ranked in f16; what the model is given, and what stays in f32, in f32, also where somebody
// else reads it rounded.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<4x40xf32>, %w: tensor<40x40xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xi32>, tensor<4x40xf32>, tensor<4x40xf32>) {
    // CHECK: [[half:%.*]] = nn.relu {{%.*}} : tensor<4x40xf16>
    // CHECK: nn.top_k [[half]] count 3 : (tensor<4x40xf16>) -> tensor<4x3xf16>
    %a = nn.relu %x : tensor<4x40xf32>
    %0 = nn.top_k %a count 3 : (tensor<4x40xf32>) -> tensor<4x3xf32>
    // CHECK: nn.matmul
    // CHECK: nn.top_k %x count 3 : (tensor<4x40xf32>) -> tensor<4x3xf32>
    %m = nn.matmul %x, %w : (tensor<4x40xf32>, tensor<40x40xf32>) -> tensor<4x40xf32>
    %1 = nn.top_k %x count 3 : (tensor<4x40xf32>) -> tensor<4x3xf32>
    // CHECK: [[kept:%.*]] = nn.exp {{%.*}} : tensor<4x40xf32>
    // CHECK: nn.top_k [[kept]] count 3 positions : (tensor<4x40xf32>) -> tensor<4x3xi32>
    %e = nn.exp %x : tensor<4x40xf32> loc("kept")
    %n = nn.matmul %e, %w : (tensor<4x40xf32>, tensor<40x40xf32>) -> tensor<4x40xf32>
    %2 = nn.top_k %e count 3 positions : (tensor<4x40xf32>) -> tensor<4x3xi32>
    func.return %0, %1, %2, %m, %n : tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xi32>, tensor<4x40xf32>, tensor<4x40xf32>
  }
}
