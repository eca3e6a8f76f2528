// RUN: ascend-opt %s -p 'nn-form-attention' --split-input-file | filecheck %s

// Scale and mask; the mask is stored keys first. A mask per image and key is spread over the queries.

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%q: tensor<2x4x7x64xf32>, %k: tensor<2x4x9x64xf32>, %v: tensor<2x4x9x64xf32>, %mask: tensor<2x1x1x9xf32>) -> tensor<2x4x7x64xf32> {
    %s = nn.matmul %q, %k trans_b : (tensor<2x4x7x64xf32>, tensor<2x4x9x64xf32>) -> tensor<2x4x7x9xf32>
    %eighth = nn.constant #nn.blob<splat 0.125 : tensor<f32>> : tensor<f32>
    %c = nn.mul %s, %eighth : (tensor<2x4x7x9xf32>, tensor<f32>) -> tensor<2x4x7x9xf32>
    %b = nn.add %c, %mask : (tensor<2x4x7x9xf32>, tensor<2x1x1x9xf32>) -> tensor<2x4x7x9xf32>
    %p = nn.softmax %b axis 3 : tensor<2x4x7x9xf32>
    %y = nn.matmul %p, %v : (tensor<2x4x7x9xf32>, tensor<2x4x9x64xf32>) -> tensor<2x4x7x64xf32>
    func.return %y : tensor<2x4x7x64xf32>
  }
}

// CHECK: func.func @main([[q:%[0-9a-zA-Z_]+]]: {{.*}}, [[k:%[0-9a-zA-Z_]+]]: {{.*}}, [[v:%[0-9a-zA-Z_]+]]: {{.*}}, [[mask:%[0-9a-zA-Z_]+]]: tensor<2x1x1x9xf32>) -> tensor<2x4x7x64xf32> {
// CHECK-NEXT: [[t:%[0-9a-zA-Z_]+]] = nn.transpose [[mask]] perm [0, 1, 3, 2] : (tensor<2x1x1x9xf32>) -> tensor<2x1x9x1xf32>
// CHECK-NEXT: [[m:%[0-9a-zA-Z_]+]] = nn.expand [[t]] : (tensor<2x1x9x1xf32>) -> tensor<2x1x9x7xf32>
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.attention [[q]], [[k]], [[v]], [[m]] scale 0.125 : (tensor<2x4x7x64xf32>, tensor<2x4x9x64xf32>, tensor<2x4x9x64xf32>, tensor<2x1x9x7xf32>) -> tensor<2x4x7x64xf32>
// CHECK-NEXT: func.return [[y]]

// -----

// Heads of keys and values that are repeated for two heads of the query each; keys that are stored [d, n].

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%q: tensor<1x4x7x64xf32>, %k: tensor<1x2x9x64xf32>, %v: tensor<1x2x9x64xf32>) -> tensor<1x4x7x64xf32> {
    %k0 = nn.reshape %k : (tensor<1x2x9x64xf32>) -> tensor<1x2x1x9x64xf32>
    %k1 = nn.expand %k0 : (tensor<1x2x1x9x64xf32>) -> tensor<1x2x2x9x64xf32>
    %k2 = nn.reshape %k1 : (tensor<1x2x2x9x64xf32>) -> tensor<1x4x9x64xf32>
    %v0 = nn.reshape %v : (tensor<1x2x9x64xf32>) -> tensor<1x2x1x9x64xf32>
    %v1 = nn.expand %v0 : (tensor<1x2x1x9x64xf32>) -> tensor<1x2x2x9x64xf32>
    %v2 = nn.reshape %v1 : (tensor<1x2x2x9x64xf32>) -> tensor<1x4x9x64xf32>
    %s = nn.matmul %q, %k2 trans_b : (tensor<1x4x7x64xf32>, tensor<1x4x9x64xf32>) -> tensor<1x4x7x9xf32>
    %p = nn.softmax %s axis 3 : tensor<1x4x7x9xf32>
    %y = nn.matmul %p, %v2 : (tensor<1x4x7x9xf32>, tensor<1x4x9x64xf32>) -> tensor<1x4x7x64xf32>
    func.return %y : tensor<1x4x7x64xf32>
  }
}

// CHECK: func.func @main([[q:%[0-9a-zA-Z_]+]]: {{.*}}, [[k:%[0-9a-zA-Z_]+]]: {{.*}}, [[v:%[0-9a-zA-Z_]+]]: {{.*}}) -> tensor<1x4x7x64xf32> {
// CHECK-NEXT: [[y:%[0-9a-zA-Z_]+]] = nn.attention [[q]], [[k]], [[v]] scale 1.0 : (tensor<1x4x7x64xf32>, tensor<1x2x9x64xf32>, tensor<1x2x9x64xf32>) -> tensor<1x4x7x64xf32>

// -----

// Rows without any key are set to zero behind the softmax: behind the product here.

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%q: tensor<4x7x64xf32>, %k: tensor<4x64x9xf32>, %v: tensor<4x9x64xf32>, %none: tensor<7x1xi1>) -> tensor<4x7x64xf32> {
    %s = nn.matmul %q, %k : (tensor<4x7x64xf32>, tensor<4x64x9xf32>) -> tensor<4x7x9xf32>
    %p = nn.softmax %s axis 2 : tensor<4x7x9xf32>
    %zero = nn.constant #nn.blob<splat 0.0 : tensor<f32>> : tensor<f32>
    %w = nn.where %none, %zero, %p : (tensor<7x1xi1>, tensor<f32>, tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
    %y = nn.matmul %w, %v : (tensor<4x7x9xf32>, tensor<4x9x64xf32>) -> tensor<4x7x64xf32>
    func.return %y : tensor<4x7x64xf32>
  }
}

// CHECK: [[k:%[0-9a-zA-Z_]+]] = nn.transpose %k perm [0, 2, 1] : (tensor<4x64x9xf32>) -> tensor<4x9x64xf32>
// CHECK: [[a:%[0-9a-zA-Z_]+]] = nn.attention %q, [[k]], %v scale 1.0
// CHECK: nn.where %none, %{{.*}}, [[a]] : (tensor<7x1xi1>, tensor<1x1x1xf32>, tensor<4x7x64xf32>) -> tensor<4x7x64xf32>

// -----

// Probabilities that are no numbers are set to zero: queries without a key, if the mask can be infinite at all.
// PyTorch writes the keys as [heads, d, n].

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%q: tensor<2x4x7x64xf32>, %k: tensor<2x4x9x64xf32>, %v: tensor<2x4x9x64xf32>, %seen: tensor<2x1x7x9xi1>) -> (tensor<2x4x7x64xf32>, tensor<2x4x7x64xf32>) {
    %zero = nn.constant #nn.blob<splat 0.0 : tensor<f32>> : tensor<f32>
    %inf = nn.constant #nn.blob<splat neg_inf : tensor<f32>> : tensor<f32>
    %low = nn.constant #nn.blob<splat -3.4028235e+38 : tensor<f32>> : tensor<f32>
    %flat = nn.reshape %k : (tensor<2x4x9x64xf32>) -> tensor<8x9x64xf32>
    %turned = nn.transpose %flat perm [0, 2, 1] : (tensor<8x9x64xf32>) -> tensor<8x64x9xf32>
    %kt = nn.reshape %turned : (tensor<8x64x9xf32>) -> tensor<2x4x64x9xf32>
    %m0 = nn.where %seen, %zero, %inf : (tensor<2x1x7x9xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x7x9xf32>
    %s0 = nn.matmul %q, %kt : (tensor<2x4x7x64xf32>, tensor<2x4x64x9xf32>) -> tensor<2x4x7x9xf32>
    %b0 = nn.add %s0, %m0 : (tensor<2x4x7x9xf32>, tensor<2x1x7x9xf32>) -> tensor<2x4x7x9xf32>
    %p0 = nn.softmax %b0 axis 3 : tensor<2x4x7x9xf32>
    %n0 = nn.is_nan %p0 : (tensor<2x4x7x9xf32>) -> tensor<2x4x7x9xi1>
    %w0 = nn.where %n0, %zero, %p0 : (tensor<2x4x7x9xi1>, tensor<f32>, tensor<2x4x7x9xf32>) -> tensor<2x4x7x9xf32>
    %y0 = nn.matmul %w0, %v : (tensor<2x4x7x9xf32>, tensor<2x4x9x64xf32>) -> tensor<2x4x7x64xf32>
    %m1 = nn.where %seen, %zero, %low : (tensor<2x1x7x9xi1>, tensor<f32>, tensor<f32>) -> tensor<2x1x7x9xf32>
    %s2 = nn.matmul %q, %k trans_b : (tensor<2x4x7x64xf32>, tensor<2x4x9x64xf32>) -> tensor<2x4x7x9xf32>
    %b1 = nn.add %m1, %s2 : (tensor<2x1x7x9xf32>, tensor<2x4x7x9xf32>) -> tensor<2x4x7x9xf32>
    %p1 = nn.softmax %b1 axis 3 : tensor<2x4x7x9xf32>
    %n1 = nn.is_nan %p1 : (tensor<2x4x7x9xf32>) -> tensor<2x4x7x9xi1>
    %w1 = nn.where %n1, %zero, %p1 : (tensor<2x4x7x9xi1>, tensor<f32>, tensor<2x4x7x9xf32>) -> tensor<2x4x7x9xf32>
    %y1 = nn.matmul %w1, %v : (tensor<2x4x7x9xf32>, tensor<2x4x9x64xf32>) -> tensor<2x4x7x64xf32>
    func.return %y0, %y1 : tensor<2x4x7x64xf32>, tensor<2x4x7x64xf32>
  }
}

// CHECK-NOT: nn.matmul
// CHECK: nn.attention %q, %k, %v, %{{.*}} scale 1.0 zero_empty
// CHECK: nn.attention %q, %k, %v, %{{[0-9a-zA-Z_]+}} scale 1.0 :

// -----

// Somebody else reads the probabilities, or the tiles are too wide: as it was.

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%q: tensor<4x7x64xf32>, %k: tensor<4x9x64xf32>, %v: tensor<4x9x64xf32>, %wide: tensor<4x7x5000xf32>) -> (tensor<4x7x64xf32>, tensor<4x7x9xf32>, tensor<4x7x5000xf32>) {
    %s = nn.matmul %q, %k trans_b : (tensor<4x7x64xf32>, tensor<4x9x64xf32>) -> tensor<4x7x9xf32>
    %p = nn.softmax %s axis 2 : tensor<4x7x9xf32>
    %y = nn.matmul %p, %v : (tensor<4x7x9xf32>, tensor<4x9x64xf32>) -> tensor<4x7x64xf32>
    %t = nn.matmul %wide, %wide trans_b : (tensor<4x7x5000xf32>, tensor<4x7x5000xf32>) -> tensor<4x7x7xf32>
    %r = nn.softmax %t axis 2 : tensor<4x7x7xf32>
    %z = nn.matmul %r, %wide : (tensor<4x7x7xf32>, tensor<4x7x5000xf32>) -> tensor<4x7x5000xf32>
    func.return %y, %p, %z : tensor<4x7x64xf32>, tensor<4x7x9xf32>, tensor<4x7x5000xf32>
  }
}

// CHECK-COUNT-2: nn.softmax
