// RUN: ascend-opt %s -p nn-form-sort | filecheck %s

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<1x40xf16>, %z: tensor<1x25200xf16>, %n: tensor<2x40xi32>) -> (tensor<1x3xf16>, tensor<1x3xi32>, tensor<1x300xf16>, tensor<2x3xi32>) {
    %v = nn.top_k %x count 3 : (tensor<1x40xf16>) -> tensor<1x3xf16>
    %i = nn.top_k %x count 3 positions : (tensor<1x40xf16>) -> tensor<1x3xi32>
    %w = nn.top_k %z count 300 smallest : (tensor<1x25200xf16>) -> tensor<1x300xf16>
    %d = nn.top_k %n count 3 : (tensor<2x40xi32>) -> tensor<2x3xi32>
    // Values and positions come from one sort, whose rows are whole groups of 16.
    // CHECK: [[p:%.*]] = nn.constant #nn.blob<dense [0.0, 1.0, {{.*}}, 47.0] : tensor<48xf16>>
    // CHECK-NEXT: [[s:%.*]] = nn.sort {{%.*}}, [[p]] count 3 block 40 pieces 1 positions : (tensor<1x40xf16>, tensor<48xf16>) -> tensor<2x1x16xf16>
    // CHECK-NEXT: nn.slice [[s]] starts [0, 0, 0] sizes [1, 1, 16]
    // CHECK-NEXT: nn.slice [[s]] starts [1, 0, 0] sizes [1, 1, 16]
    // CHECK: nn.cast {{%.*}} : (tensor<1x16xf16>) -> tensor<1x16xi32>

    // A long row is sorted by all cores, and the best of all pieces once more; the smallest are the largest of what is negated.
    // CHECK: [[n:%.*]] = nn.neg {{%.*}} : tensor<1x25200xf16>
    // CHECK-NEXT: nn.sort [[n]] count 300 block 1584 pieces 8 : (tensor<1x25200xf16>) -> tensor<1x1x2432xf16>
    // CHECK: nn.sort {{%.*}} count 300 block 1216 pieces 1 : (tensor<1x2432xf16>) -> tensor<1x1x304xf16>
    // CHECK: nn.neg {{%.*}} : tensor<1x304xf16>

    // Whole numbers of 32 bits: by digits of 11 bits, the lowest first.
    // CHECK: nn.bit_and {{%.*}} : (tensor<2x40xi32>, tensor<1x1xi32>) -> tensor<2x40xi32>
    // CHECK-NEXT: [[low:%.*]] = nn.cast {{%.*}} : (tensor<2x40xi32>) -> tensor<2x40xf16>
    // CHECK: [[all:%.*]] = nn.sort [[low]], {{%.*}}, {{%.*}} count 40 block 40 pieces 1
    // CHECK: nn.sort {{%.*}}, {{%.*}}, {{%.*}} count 40 block 48 pieces 1
    // CHECK: nn.sort {{%.*}}, {{%.*}}, {{%.*}} count 3 block 48 pieces 1
    // CHECK: nn.slice {{%.*}} starts [0, 0] sizes [2, 3] steps [1, 1] : (tensor<2x16xi32>) -> tensor<2x3xi32>
    func.return %v, %i, %w, %d : tensor<1x3xf16>, tensor<1x3xi32>, tensor<1x300xf16>, tensor<2x3xi32>
  }
}
