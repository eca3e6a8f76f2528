// RUN: ascend-opt %s -p convert-nn-to-ascend,ascend-assign-layouts,check-ascend | filecheck %s

// Producer and consumer of a block agree on NC1HWC0, so only the borders of the model transpose: one TransData for each
// input and one for the output.  Weights are packed while the file is written: their format is part of the expression.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x64x56x56xf16>, %res: tensor<1x64x56x56xf16>) -> tensor<1x64x56x56xf16> {
    %w = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf16>> : tensor<64x64x3x3xf16>
    %b = nn.constant #nn.blob<"b" : tensor<64xf32>> : tensor<64xf32>
    %y = nn.group "ConvAddRelu" (%x, %w, %b, %res) from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"] {
    ^bb0(%a: tensor<1x64x56x56xf16>, %k: tensor<64x64x3x3xf16>, %c: tensor<64xf32>, %r: tensor<1x64x56x56xf16>):
      %0 = nn.conv %a, %k, %c strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>) -> tensor<1x64x56x56xf16>
      %1 = nn.add %0, %r : tensor<1x64x56x56xf16>
      %2 = nn.relu %1 : tensor<1x64x56x56xf16>
      nn.yield %2 : tensor<1x64x56x56xf16>
    } : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>, tensor<1x64x56x56xf16>) -> tensor<1x64x56x56xf16>
    %z = nn.group "ConvRelu" (%y, %w, %b) from ["layer1.1.conv1", "layer1.1.relu"] {
    ^bb0(%a: tensor<1x64x56x56xf16>, %k: tensor<64x64x3x3xf16>, %c: tensor<64xf32>):
      %0 = nn.conv %a, %k, %c strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>) -> tensor<1x64x56x56xf16>
      %1 = nn.relu %0 : tensor<1x64x56x56xf16>
      nn.yield %1 : tensor<1x64x56x56xf16>
    } : (tensor<1x64x56x56xf16>, tensor<64x64x3x3xf16>, tensor<64xf32>) -> tensor<1x64x56x56xf16>
    func.return %z : tensor<1x64x56x56xf16>
  }
}

// CHECK:      func.func @main(%x: tensor<1x64x56x56xf16>, %res: tensor<1x64x56x56xf16>) -> tensor<1x64x56x56xf16>
// CHECK-DAG:  [[x:%.*]] = ascend.trans_data %x : tensor<1x64x56x56xf16> -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-DAG:  [[res:%.*]] = ascend.trans_data %res : tensor<1x64x56x56xf16> -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-DAG:  [[w:%.*]] = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf16> | pack FRACTAL_Z 16 1> : tensor<64x64x3x3xf16, #ascend.layout<FRACTAL_Z, c0 = 16>>
// CHECK-DAG:  [[b:%.*]] = nn.constant #nn.blob<"b" : tensor<64xf32> | pack NC1HWC0 16 1> : tensor<64xf32, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK:      [[y:%.*]] = ascend.group "ConvAddRelu" ([[x]], [[w]], [[b]], [[res]]) engine cube
// CHECK:      } : ({{.*}}) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
// CHECK-NOT:  ascend.trans_data
// CHECK:      [[z:%.*]] = ascend.group "ConvRelu" ([[y]], [[w]], [[b]]) engine cube
// CHECK:      [[out:%.*]] = ascend.trans_data [[z]] : tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>> -> tensor<1x64x56x56xf16>
// CHECK-NEXT: func.return [[out]]
