// RUN: ascend-opt %s -p 'nn-split-terms{depth=3}' | filecheck %s
// RUN: ascend-opt %s -p 'nn-split-terms{latencies=0.0 depth=3}' | filecheck %s --check-prefix=NONE
// RUN: ascend-opt %s -p 'nn-split-terms' | filecheck %s --check-prefix=NONE

// The model's input, a convolution, a pool and a residual addition in terms; the last convolution reads terms only.

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x3x32x32xf32>) -> tensor<1x8x16x16xf16> {
    %h = nn.cast %x : (tensor<1x3x32x32xf32>) -> tensor<1x3x32x32xf16>
    %w = nn.constant #nn.blob<"w" : tensor<8x3x3x3xf32> | cast f16> : tensor<8x3x3x3xf16>
    %c = nn.conv %h, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x3x32x32xf16>, tensor<8x3x3x3xf16>) -> tensor<1x8x32x32xf16>
    %r = nn.relu %c : tensor<1x8x32x32xf16>
    %p = nn.max_pool %r kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x32x32xf16>) -> tensor<1x8x16x16xf16>
    %v = nn.constant #nn.blob<"v" : tensor<8x8x1x1xf32> | cast f16> : tensor<8x8x1x1xf16>
    %b = nn.constant #nn.blob<"b" : tensor<8xf32>> : tensor<8xf32>
    %d = nn.conv %p, %v, %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x8x16x16xf16>, tensor<8x8x1x1xf16>, tensor<8xf32>) -> tensor<1x8x16x16xf16>
    %s = nn.add %d, %p : tensor<1x8x16x16xf16>
    %t = nn.relu %s : tensor<1x8x16x16xf16>
    %k = nn.constant #nn.blob<"k" : tensor<8x8x1x1xf32> | cast f16> : tensor<8x8x1x1xf16>
    %y = nn.conv %t, %k strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x8x16x16xf16>, tensor<8x8x1x1xf16>) -> tensor<1x8x16x16xf16>
    func.return %y : tensor<1x8x16x16xf16>
  }
}

// CHECK: [[V0:%[0-9a-zA-Z_]+]] = nn.to_terms %x : (tensor<1x3x32x32xf32>) -> tensor<1x9x32x32xf16>
// CHECK-NEXT: [[V1:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"w" : tensor<8x3x3x3xf32> | cast f16 | concat 1 ("w" : tensor<8x3x3x3xf32> | cast f16) ("w" : tensor<8x3x3x3xf32> | sub ("w" : tensor<8x3x3x3xf32> | cast f16 | cast f32) | cast f16) | pad [0, 0, 0, 0] [8, 0, 0, 0]> : tensor<16x9x3x3xf16>
// CHECK-NEXT: [[V2:%[0-9a-zA-Z_]+]] = nn.conv [[V0]], [[V1]] strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x9x32x32xf16>, tensor<16x9x3x3xf16>) -> tensor<1x16x32x32xf32>
// CHECK-NEXT: [[V3:%[0-9a-zA-Z_]+]] = nn.relu [[V2]] : tensor<1x16x32x32xf32>
// CHECK-NEXT: [[Vr:%[0-9a-zA-Z_]+]] = nn.to_terms [[V3]] : (tensor<1x16x32x32xf32>) -> tensor<1x48x32x32xf16>
// CHECK-NEXT: [[Vp:%[0-9a-zA-Z_]+]] = nn.max_pool [[Vr]] kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] terms : (tensor<1x48x32x32xf16>) -> tensor<1x48x16x16xf16>
// CHECK-NEXT: [[V4:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"v" : tensor<8x8x1x1xf32> | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0] | concat 1 ("v" : tensor<8x8x1x1xf32> | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0]) ("v" : tensor<8x8x1x1xf32> | sub ("v" : tensor<8x8x1x1xf32> | cast f16 | cast f32) | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0]) | pad [0, 0, 0, 0] [8, 0, 0, 0]> : tensor<16x48x1x1xf16>
// CHECK-NEXT: [[V5:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"b" : tensor<8xf32> | pad [0] [8]> : tensor<16xf32>
// CHECK-NEXT: [[V6:%[0-9a-zA-Z_]+]] = nn.conv [[Vp]], [[V4]], [[V5]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x48x16x16xf16>, tensor<16x48x1x1xf16>, tensor<16xf32>) -> tensor<1x16x16x16xf32>
// CHECK-NEXT: [[V7:%[0-9a-zA-Z_]+]] = nn.add_terms [[V6]], [[Vp]] : (tensor<1x16x16x16xf32>, tensor<1x48x16x16xf16>) -> tensor<1x16x16x16xf32>
// CHECK-NEXT: [[V8:%[0-9a-zA-Z_]+]] = nn.relu [[V7]] : tensor<1x16x16x16xf32>
// CHECK-NEXT: [[Vt:%[0-9a-zA-Z_]+]] = nn.to_terms [[V8]] : (tensor<1x16x16x16xf32>) -> tensor<1x48x16x16xf16>
// CHECK-NEXT: [[V9:%[0-9a-zA-Z_]+]] = nn.constant #nn.blob<"k" : tensor<8x8x1x1xf32> | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0] | concat 1 ("k" : tensor<8x8x1x1xf32> | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0]) ("k" : tensor<8x8x1x1xf32> | sub ("k" : tensor<8x8x1x1xf32> | cast f16 | cast f32) | cast f16 | pad [0, 0, 0, 0] [0, 8, 0, 0])> : tensor<8x48x1x1xf16>
// CHECK-NEXT: [[Vy:%[0-9a-zA-Z_]+]] = nn.conv [[Vt]], [[V9]] strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x48x16x16xf16>, tensor<8x48x1x1xf16>) -> tensor<1x8x16x16xf16>
// CHECK-NEXT: func.return [[Vy]] : tensor<1x8x16x16xf16>

// NONE-NOT: terms
