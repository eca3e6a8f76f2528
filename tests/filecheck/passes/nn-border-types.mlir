// RUN: ascend-opt %s -p 'nn-border-types{inputs="0:f16" outputs="0:f16"}' | filecheck %s

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.relu %x : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK:       func.func @main(%x: tensor<4xf16>) -> tensor<4xf16> {
// CHECK-NEXT:    [[a:%.*]] = nn.cast %x : (tensor<4xf16>) -> tensor<4xf32>
// CHECK-NEXT:    %y = nn.relu [[a]] : tensor<4xf32>
// CHECK-NEXT:    [[b:%.*]] = nn.cast %y : (tensor<4xf32>) -> tensor<4xf16>
// CHECK-NEXT:    func.return [[b]] : tensor<4xf16>
