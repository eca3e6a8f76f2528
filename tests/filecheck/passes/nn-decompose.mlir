// RUN: ascend-opt %s -p 'nn-decompose' | filecheck %s

func.func @main(%x: tensor<4x10xf32>, %i: tensor<1x2x4x4xf32>) -> (tensor<4x10xf32>, tensor<1x3x8x8xf32>) {
  %y = nn.softmax %x axis 1 : tensor<4x10xf32>
  // Every second row and column of the result sees other taps: four phases, one convolution, one pixel shuffle.
  %w = nn.constant #nn.blob<"w" : tensor<2x3x4x4xf32>> : tensor<2x3x4x4xf32>
  %u = nn.conv_transpose %i, %w strides [2, 2] pads [1, 1, 1, 1] dilations [1, 1] output_padding [0, 0] group 1 : (tensor<1x2x4x4xf32>, tensor<2x3x4x4xf32>) -> tensor<1x3x8x8xf32>
  func.return %y, %u : tensor<4x10xf32>, tensor<1x3x8x8xf32>
}

// CHECK: func.func @main([[x:%[0-9a-zA-Z_]+]]: tensor<4x10xf32>, [[i:%[0-9a-zA-Z_]+]]: tensor<1x2x4x4xf32>) -> (tensor<4x10xf32>, tensor<1x3x8x8xf32>) {
// CHECK-NEXT: [[V0:%[0-9a-zA-Z_]+]] = nn.reduce [[x]] kind max axes [1] keepdims {precise} : (tensor<4x10xf32>) -> tensor<4x1xf32>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.sub [[x]], [[V0]] {precise} : (tensor<4x10xf32>, tensor<4x1xf32>) -> tensor<4x10xf32>
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.exp [[V1]] {precise} : tensor<4x10xf32>
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.reduce [[V2]] kind sum axes [1] keepdims {precise} : (tensor<4x10xf32>) -> tensor<4x1xf32>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.div [[V2]], [[V3]] {precise} : (tensor<4x10xf32>, tensor<4x1xf32>) -> tensor<4x10xf32>
// CHECK-NEXT: [[V4:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<2x3x4x4xf32> | reshape [1, 2, 3, 2, 2, 2, 2] | flip [3, 5] | transpose [0, 4, 6, 2, 1, 3, 5] | reshape [12, 2, 2, 2]> : tensor<12x2x2x2xf32>
// CHECK-NEXT: [[V5:%[0-9a-zA-Z_]+]] = nn.conv [[i]], [[V4]] strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x2x4x4xf32>, tensor<12x2x2x2xf32>) -> tensor<1x12x5x5xf32>
// CHECK-NEXT: [[V6:%[0-9a-zA-Z_]+]] = nn.depth_to_space [[V5]] blocksize 2 mode DCR : (tensor<1x12x5x5xf32>) -> tensor<1x3x10x10xf32>
// CHECK-NEXT: [[u:%[0-9a-zA-Z_]+]] = nn.slice [[V6]] starts [0, 0, 1, 1] sizes [1, 3, 8, 8] steps [1, 1, 1, 1] : (tensor<1x3x10x10xf32>) -> tensor<1x3x8x8xf32>
// CHECK-NEXT: func.return [[y]], [[u]] : tensor<4x10xf32>, tensor<1x3x8x8xf32>
// CHECK-NEXT: }
