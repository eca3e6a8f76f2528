// RUN: ascend-opt %s --compile-to=nn | filecheck %s

// BatchNormalization disappears into weight and bias, the model computes in f16, the bias stays f32, and what runs as
// one kernel is one group that knows the nodes it stands for.  The function keeps its f32 types: casts at the borders.
func.func @main(%x: tensor<1x64x56x56xf32>, %res: tensor<1x64x56x56xf32>) -> tensor<1x64x56x56xf32> {
  %w = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf32>> : tensor<64x64x3x3xf32>
  %y0 = nn.conv %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x64x56x56xf32>, tensor<64x64x3x3xf32>) -> tensor<1x64x56x56xf32> loc("layer1.0.conv2")
  %scale = nn.constant #nn.blob<"scale" : tensor<64xf32>> : tensor<64xf32>
  %bias = nn.constant #nn.blob<"bias" : tensor<64xf32>> : tensor<64xf32>
  %mean = nn.constant #nn.blob<"mean" : tensor<64xf32>> : tensor<64xf32>
  %var = nn.constant #nn.blob<"var" : tensor<64xf32>> : tensor<64xf32>
  %y1 = nn.batch_norm %y0, %scale, %bias, %mean, %var epsilon 1.0e-05 : (tensor<1x64x56x56xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<1x64x56x56xf32> loc("layer1.0.bn2")
  %y2 = nn.add %y1, %res : tensor<1x64x56x56xf32> loc("layer1.0.add")
  %y = nn.relu %y2 : tensor<1x64x56x56xf32> loc("layer1.0.relu")
  func.return %y : tensor<1x64x56x56xf32>
}

// CHECK:      builtin.module attributes {ascend.target = "Ascend310P3"}
// CHECK:      nn.group "Cast" (%res) from ["layer1.0.add"]
// CHECK:      nn.group "Cast" (%x) from ["layer1.0.conv2", "layer1.0.bn2"]
// CHECK:      [[w:%.*]] = nn.constant #nn.blob<"w" : tensor<64x64x3x3xf32> | mul0 ("scale" : tensor<64xf32> | mul ("var" {{.*}} | rsqrt)) | cast f16> : tensor<64x64x3x3xf16>
// CHECK-NEXT: [[b:%.*]] = nn.constant #nn.blob<"bias" : tensor<64xf32> | sub ("mean" {{.*}})> : tensor<64xf32>
// CHECK-NEXT: nn.group "ConvAddRelu" ({{%.*}}, [[w]], [[b]], {{%.*}}) from ["layer1.0.conv2", "layer1.0.bn2", "layer1.0.add", "layer1.0.relu"] {
// CHECK-NEXT: ^bb0([[a:%.*]]: tensor<1x64x56x56xf16>, [[k:%.*]]: tensor<64x64x3x3xf16>, [[c:%.*]]: tensor<64xf32>, [[r:%.*]]: tensor<1x64x56x56xf16>):
// CHECK-NEXT: [[v0:%.*]] = nn.conv [[a]], [[k]], [[c]] strides [1, 1] pads [1, 1, 1, 1] {{.*}} -> tensor<1x64x56x56xf16>
// CHECK-NEXT: [[v1:%.*]] = nn.add [[v0]], [[r]] : tensor<1x64x56x56xf16>
// CHECK-NEXT: [[v2:%.*]] = nn.relu [[v1]] : tensor<1x64x56x56xf16>
// CHECK-NEXT: nn.yield [[v2]]
// CHECK:      nn.group "Cast" ({{%.*}}) from ["layer1.0.relu"]
// CHECK-NOT:  nn.batch_norm
