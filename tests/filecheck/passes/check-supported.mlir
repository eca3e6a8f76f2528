// RUN: not ascend-opt %s -p check-supported 2>&1 | filecheck %s

func.func @main(%x: tensor<1x16x4x256xf16>) -> tensor<1x16x4x2xf16> {
  %w = nn.constant #nn.blob<"w" : tensor<16x16x1x1xf16>> : tensor<16x16x1x1xf16>
  %y = ascend.group "Conv" (%x, %w) engine cube schedule #ascend.schedule<> from ["conv1"] {
  ^bb0(%p: tensor<1x16x4x256xf16>, %k: tensor<16x16x1x1xf16>):
    %0 = nn.conv %p, %k strides [1, 128] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x16x4x256xf16>, tensor<16x16x1x1xf16>) -> tensor<1x16x4x2xf16>
    nn.yield %0 : tensor<1x16x4x2xf16>
  } : (tensor<1x16x4x256xf16>, tensor<16x16x1x1xf16>) -> tensor<1x16x4x2xf16>
  func.return %y : tensor<1x16x4x2xf16>
}

// CHECK: 1 node cannot be compiled
// CHECK-NEXT: Conv node 'conv1': stride_w is 128, outside 1 to 63; load3d must be able to walk the windows of a convolution
