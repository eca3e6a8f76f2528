// RUN: ascend-opt %s -p 'nn-decompose' | filecheck %s

// Stride and dilation share a factor: only every tenth position is read.
func.func @main(%x: tensor<1x16x1x1000xf16>) -> tensor<1x16x1x82xf16> {
  %y = nn.max_pool %x kernel [1, 20] strides [1, 10] pads [0, 5, 0, 5] dilations [1, 10] : (tensor<1x16x1x1000xf16>) -> tensor<1x16x1x82xf16>
  func.return %y : tensor<1x16x1x82xf16>
}

// CHECK: [[P:%[0-9a-zA-Z_]+]] = nn.slice [[X:%[0-9a-zA-Z_]+]] starts [0, 0, 0, 5] sizes [1, 16, 1, 100] steps [1, 1, 1, 10]
// CHECK-NEXT: nn.max_pool [[P]] kernel [1, 20] strides [1, 1] pads [0, 1, 0, 0] dilations [1, 1]
