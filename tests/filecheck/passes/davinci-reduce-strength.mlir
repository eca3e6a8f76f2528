// RUN: ascend-opt %s -p davinci-reduce-strength | filecheck %s

// The index itself becomes the address in GM; the one in UB is added to; the outer pointer is where the inner one starts.
// CHECK: davinci.kernel @pointers
davinci.kernel @pointers(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %c512 = arith.constant 512 : index
  %c8192 = arith.constant 8192 : index
  // CHECK: [[ub:%.*]] = davinci.alloc
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 65536>
  %core = davinci.block_idx
  // CHECK: scf.for
  scf.for %i = %c0 to %n step %c1 {
    // CHECK-NEXT: [[row:%.*]] = davinci.induction primary %core step 8192
    %p = arith.muli %i, %c8192 : index
    %row = arith.addi %core, %p : index
    // CHECK-NEXT: scf.for
    scf.for %j = %c0 to %c9 step %c1 {
      // CHECK-NEXT: [[at:%.*]] = davinci.induction primary [[row]] step 512
      %q = arith.muli %j, %c512 : index
      %at = arith.addi %row, %q : index
      // CHECK-NEXT: [[from:%.*]] = davinci.offset 64 + [[at]] * 1
      %from = davinci.offset 64 + %at * 1
      // CHECK-NEXT: davinci.copy_gm_to_ubuf [[ub]], %x{{\[}}[[from]]], bursts 1, length 16
      davinci.copy_gm_to_ubuf %a, %x[%from], bursts 1, length 16
    }
  }
}

// What is not linear in the index, or changes in the loop, is no induction; a product that the index is needed beside stays.
// CHECK: davinci.kernel @products
davinci.kernel @products(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %a = davinci.alloc depth 2 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<ub, 8192>
  %counter = davinci.counter 0 {ring = 0 : i64}
  // CHECK: scf.for [[i:%.*]] =
  scf.for %i = %c0 to %n step %c1 {
    // CHECK-NEXT: arith.muli [[i]], %{{.*}} : index
    %p = arith.muli %i, %c64 : index
    // CHECK-NEXT: arith.addi %{{.*}}, %counter : index
    %s = arith.addi %p, %counter : index
    // CHECK-NEXT: arith.muli [[i]], [[i]] : index
    %square = arith.muli %i, %i : index
    %from = davinci.offset 0 + %s * 1
    %to = davinci.offset 0 + %square * 1
    davinci.copy_gm_to_ubuf %a[%to], %x[%from], bursts 1, length 16
    davinci.ring_next %counter depth 2
  }
}

// Inner iterations that make the outer step go on in one register; the loop index goes to what cannot be carried.
// CHECK: davinci.kernel @carried
davinci.kernel @carried(%x: !davinci.gm, %y: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %c512 = arith.constant 512 : index
  // CHECK: [[ub:%.*]] = davinci.alloc
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 65536>
  // CHECK: scf.for
  scf.for %i = %c0 to %c3 step %c1 {
    // CHECK-NEXT: [[outer:%.*]] = davinci.induction %{{.*}} step 256
    %p = arith.muli %i, %c256 : index
    // CHECK-NEXT: scf.for
    scf.for %j = %c0 to %c4 step %c1 {
      // CHECK-NEXT: [[from:%.*]] = davinci.induction carried [[outer]] step 64
      // CHECK-NEXT: [[to:%.*]] = davinci.induction primary %{{.*}} step 512
      %q = arith.muli %j, %c64 : index
      %s = arith.addi %p, %q : index
      %r = arith.muli %j, %c512 : index
      %from = davinci.offset 0 + %s * 1
      %to = davinci.offset 0 + %r * 1
      davinci.copy_gm_to_ubuf %a[%to], %x[%from], bursts 1, length 2
    }
  }
}
