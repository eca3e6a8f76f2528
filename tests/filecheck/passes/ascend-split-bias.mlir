// RUN: ascend-opt %s -p ascend-split-bias | filecheck %s

builtin.module attributes {ascend.target = "Ascend310P3"} {
  // A constant bias is stored in two terms; one that is computed is split by the kernel.
  // CHECK: func.func @main
  func.func @main(%x: tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %v: tensor<16xf32, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
    %w = nn.constant #nn.blob<"w" : tensor<16x16x1x1xf16> | pack FRACTAL_Z 16 1> : tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
    // CHECK: [[b:%.*]] = nn.constant #nn.blob<"b" : tensor<16xf32> | two_terms | pack NC1HWC0 16 1> : tensor<1x16x1x2xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    // CHECK-NOT: nn.constant
    %b = nn.constant #nn.blob<"b" : tensor<16xf32> | pack NC1HWC0 16 1> : tensor<16xf32, #ascend.layout<NC1HWC0, c0 = 16>>
    // CHECK: [[y:%.*]] = ascend.group "Conv" (%x, %w, [[b]]) engine cube
    %y = ascend.group "Conv" (%x, %w, %b) engine cube schedule #ascend.schedule<> {
    // CHECK-NEXT: ^{{.*}}([[x0:%.*]]: tensor<1x16x8x8xf16>, [[w0:%.*]]: tensor<16x16x1x1xf16>, [[terms:%.*]]: tensor<1x16x1x2xf16>):
    ^bb0(%0: tensor<1x16x8x8xf16>, %1: tensor<16x16x1x1xf16>, %2: tensor<16xf32>):
      // CHECK-NEXT: [[sum:%.*]] = nn.sum_terms [[terms]] : (tensor<1x16x1x2xf16>) -> tensor<16xf32>
      // CHECK-NEXT: nn.conv [[x0]], [[w0]], [[sum]]
      %3 = nn.conv %0, %1, %2 strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x16x8x8xf16>, tensor<16x16x1x1xf16>, tensor<16xf32>) -> tensor<1x16x8x8xf16>
      nn.yield %3 : tensor<1x16x8x8xf16>
    } : (tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>, tensor<16xf32, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    // CHECK: ascend.group "Conv" ([[y]], %w, %v) engine cube
    %z = ascend.group "Conv" (%y, %w, %v) engine cube schedule #ascend.schedule<> {
    ^bb0(%0: tensor<1x16x8x8xf16>, %1: tensor<16x16x1x1xf16>, %2: tensor<16xf32>):
      // CHECK-NOT: nn.sum_terms
      // CHECK: nn.yield
      %3 = nn.conv %0, %1, %2 strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<1x16x8x8xf16>, tensor<16x16x1x1xf16>, tensor<16xf32>) -> tensor<1x16x8x8xf16>
      nn.yield %3 : tensor<1x16x8x8xf16>
    } : (tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<16x16x1x1xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>, tensor<16xf32, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %z : tensor<1x16x8x8xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}
