// RUN: ascend-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

// CHECK: expected result of shape [2, 3], got [3, 2]
func.func @shape(%x: tensor<2x3xf32>) {
  %0 = nn.relu %x : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return
}

// -----

// CHECK: expected operands of one element type, got f32, f16
func.func @types(%x: tensor<2x3xf32>, %y: tensor<2x3xf16>) {
  %0 = nn.add %x, %y : (tensor<2x3xf32>, tensor<2x3xf16>) -> tensor<2x3xf32>
  func.return
}

// -----

// CHECK: expected shapes that broadcast, got [2, 3] and [2]
func.func @broadcast(%x: tensor<2x3xf32>, %y: tensor<2xf32>) {
  %0 = nn.mul %x, %y : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

// CHECK: expected result of element type bool, got f32
func.func @compare(%x: tensor<2x3xf32>) {
  %0 = nn.less %x, %x : tensor<2x3xf32>
  func.return
}

// -----

// CHECK: expected a condition of element type bool, got f32
func.func @condition(%x: tensor<2x3xf32>) {
  %0 = nn.where %x, %x, %x : tensor<2x3xf32>
  func.return
}

// -----

// CHECK: expected input channels and weight channels times group to agree, got 4 and 2
func.func @channels(%x: tensor<1x4x8x8xf32>, %w: tensor<6x2x3x3xf32>) {
  %0 = nn.conv %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x8x8xf32>
  func.return
}

// -----

// CHECK: expected result of shape [1, 6, 8, 8], got [1, 6, 6, 6]
func.func @pads(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  %0 = nn.conv %x, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x6x6xf32>
  func.return
}

// -----

// CHECK: expected contracted dimensions to agree, got 7 and 5
func.func @contraction(%m: tensor<5x7xf32>) {
  %0 = nn.matmul %m, %m : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
  func.return
}

// -----

// CHECK: expected rows that are a multiple of 4 steps, got 6
func.func @steps(%p: tensor<6x64xf32>, %r: tensor<64x16xf32>) {
  %0 = nn.recurrence %p, %r kind lstm direction forward steps 4 : (tensor<6x64xf32>, tensor<64x16xf32>) -> tensor<6x16xf32>
  func.return
}

// -----

// CHECK: expected parts with 64 columns, got 48
func.func @groups(%p: tensor<6x48xf32>, %r: tensor<48x16xf32>) {
  %0 = nn.recurrence %p, %r kind gru direction forward steps 3 : (tensor<6x48xf32>, tensor<48x16xf32>) -> tensor<6x16xf32>
  func.return
}

// -----

// CHECK: expected no memory of a rnn, got last_cell
func.func @memory(%p: tensor<6x16xf32>, %r: tensor<16x16xf32>) {
  %0 = nn.recurrence %p, %r kind rnn direction forward steps 3 last_cell : (tensor<6x16xf32>, tensor<16x16xf32>) -> tensor<8x16xf32>
  func.return
}

// -----

// CHECK: expected a count of 1 to 40, got 41
func.func @best(%x: tensor<2x40xf16>) {
  %0 = nn.top_k %x count 41 : (tensor<2x40xf16>) -> tensor<2x41xf16>
  func.return
}

// -----

// CHECK: expected result of element type i32, got i64
func.func @places(%x: tensor<2x40xf16>) {
  %0 = nn.top_k %x count 4 positions : (tensor<2x40xf16>) -> tensor<2x4xi64>
  func.return
}

// -----

// CHECK: expected blocks of a multiple of 16, got 20
func.func @blocks(%x: tensor<2x40xf16>) {
  %0 = nn.sort %x count 4 block 20 pieces 1 : (tensor<2x40xf16>) -> tensor<1x2x16xf16>
  func.return
}

// -----

// CHECK: expected pieces that share 3 blocks, got 2
func.func @pieces(%x: tensor<2x40xf16>) {
  %0 = nn.sort %x count 4 block 16 pieces 2 : (tensor<2x40xf16>) -> tensor<1x2x32xf16>
  func.return
}

// -----

// CHECK: expected 16 places, got {{\[\[}}40]]
func.func @names(%x: tensor<2x40xf16>, %p: tensor<40xf16>) {
  %0 = nn.sort %x, %p count 4 block 16 pieces 1 positions : (tensor<2x40xf16>, tensor<40xf16>) -> tensor<3x2x16xf16>
  func.return
}

// -----

// CHECK: expected a count of 1 to 32, got 33
func.func @piece(%x: tensor<2x64xf16>) {
  %0 = nn.sort %x count 33 block 16 pieces 2 : (tensor<2x64xf16>) -> tensor<1x2x96xf16>
  func.return
}

// -----

// CHECK: expected at most 5 planes beside the keys, got 6
func.func @planes(%x: tensor<2x40xf16>) {
  %0 = nn.sort %x, %x, %x, %x, %x, %x, %x count 4 block 40 pieces 1 : (tensor<2x40xf16>, tensor<2x40xf16>, tensor<2x40xf16>, tensor<2x40xf16>, tensor<2x40xf16>, tensor<2x40xf16>, tensor<2x40xf16>) -> tensor<7x2x16xf16>
  func.return
}

// -----

// CHECK: expected heads of keys that divide those of the query, got [1, 4] and [1, 3]
func.func @heads(%q: tensor<1x4x7x64xf32>, %k: tensor<1x3x9x64xf32>) {
  %0 = nn.attention %q, %k, %k scale 1.0 : (tensor<1x4x7x64xf32>, tensor<1x3x9x64xf32>, tensor<1x3x9x64xf32>) -> tensor<1x4x7x64xf32>
  func.return
}

// -----

// CHECK: expected mask that broadcasts to [1, 4, 9, 7] in its leading dims, got [1, 1, 7, 9]
func.func @mask(%q: tensor<1x4x7x64xf32>, %k: tensor<1x4x9x64xf32>, %m: tensor<1x1x7x9xf32>) {
  %0 = nn.attention %q, %k, %k, %m scale 1.0 : (tensor<1x4x7x64xf32>, tensor<1x4x9x64xf32>, tensor<1x4x9x64xf32>, tensor<1x1x7x9xf32>) -> tensor<1x4x7x64xf32>
  func.return
}

// -----

// CHECK: expected kind to be one of sum, mean, max, min, prod, sum_square, l1, l2, log_sum, log_sum_exp, got median
func.func @kind(%x: tensor<2x3xf32>) {
  %0 = nn.reduce %x kind median axes [1] : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: expected ascending axes within rank 2, got [2]
func.func @axes(%x: tensor<2x3xf32>) {
  %0 = nn.reduce %x kind sum axes [2] : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: expected result with 6 elements like [2, 3], got [4]
func.func @elements(%x: tensor<2x3xf32>) {
  %0 = nn.reshape %x : (tensor<2x3xf32>) -> tensor<4xf32>
  func.return
}

// -----

// CHECK: expected slice within 3, got 2 + i·1, i < 2
func.func @slice(%x: tensor<2x3xf32>) {
  %0 = nn.slice %x starts [0, 2] sizes [2, 2] steps [1, 1] : (tensor<2x3xf32>) -> tensor<2x2xf32>
  func.return
}

// -----

// CHECK: expected result of shape [10, 4], got [4, 10]
func.func @blob_shape() {
  %0 = nn.constant #nn.blob<"w" : tensor<10x4xf32>> : tensor<4x10xf32>
  func.return
}

// -----

// CHECK: expected result of element type f16, got f32
func.func @blob_type() {
  %0 = nn.constant #nn.blob<"w" : tensor<10x4xf32> | cast f16> : tensor<10x4xf32>
  func.return
}

// -----

// CHECK: blob operation transpose: expected a permutation of 2 axes, got [0, 2]
func.func @blob_operation() {
  %0 = nn.constant #nn.blob<"w" : tensor<10x4xf32> | transpose [0, 2]> : tensor<10x4xf32>
  func.return
}

// -----

// CHECK: expected nn.yield of the result types (tensor<2x3xf32>), got (tensor<2x3xi1>)
func.func @yield(%x: tensor<2x3xf32>) {
  %0 = nn.group "G" (%x) from [] {
  ^bb0(%a: tensor<2x3xf32>):
    %1 = nn.is_nan %a : (tensor<2x3xf32>) -> tensor<2x3xi1>
    nn.yield %1 : tensor<2x3xi1>
  } : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

// CHECK: expected two terms [1, C, 1, 2], got [1, 16, 2, 1]
func.func @sum(%t: tensor<1x16x2x1xf16>) {
  %0 = nn.sum_terms %t : (tensor<1x16x2x1xf16>) -> tensor<16xf32>
  func.return
}

// -----

// CHECK: expected terms of shape [1, 12, 8, 8], got [1, 4, 8, 8]
func.func @terms(%x: tensor<1x4x8x8xf32>, %t: tensor<1x4x8x8xf16>) {
  %0 = nn.add_terms %x, %t : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf16>) -> tensor<1x4x8x8xf32>
  func.return
}
