// RUN: ascend-opt %s -p ascend-choose-schedule | filecheck %s

// The schedule is an attribute that a pass writes and a person can edit: how the 8 blocks share the output (items ×
// rows × columns), the tile (2 output rows = m of 7 fractals, n of 2, k of 9), where the weights are kept and how many
// slots the rings have.  The values are the cost model's; here only what every schedule of a convolution must say.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>, %r: tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>> {
    %w = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf16> | pack FRACTAL_Z 16 1> : tensor<64x64x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
    %b = nn.constant #nn.blob<"b" : tensor<64xf32> | pack NC1HWC0 16 1> : tensor<64xf32, #ascend.layout<NC1HWC0, c0 = 16>>
    %y = ascend.group "ConvAddRelu" (%x, %w, %b, %r) engine cube schedule #ascend.schedule<> from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"] {
    ^bb0(%0: tensor<1x64x56x56xf16>, %1: tensor<64x64x3x3xf16>, %2: tensor<64xf32>, %3: tensor<1x64x56x56xf16>):
      %4 = nn.conv %0, %1, %2 strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>) -> tensor<1x64x56x56xf16>
      %5 = nn.add %4, %3 : tensor<1x64x56x56xf16>
      %6 = nn.relu %5 : tensor<1x64x56x56xf16>
      nn.yield %6 : tensor<1x64x56x56xf16>
    } : (tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<64x64x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>, tensor<64xf32, #ascend.layout<NC1HWC0, c0 = 16>>, tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %y : tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}

// CHECK:      ascend.group "ConvAddRelu" (%x, %w, %b, %r) engine cube schedule #ascend.schedule<
// CHECK-SAME: split_items = 1, split_rows = {{[0-9]+}}, split_columns = {{[0-9]+}}, rows = {{[0-9]+}}, m = {{[0-9]+}}, n = {{[0-9]+}}, k = {{[0-9]+}}
// CHECK-SAME: weights = {{[a-z]+}}
// CHECK-SAME: > from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"]
