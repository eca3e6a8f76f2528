// RUN: ascend-opt %s -p davinci-sink-scalars | filecheck %s

// CHECK: davinci.kernel @sink
davinci.kernel @sink(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  // CHECK: [[a:%.*]] = davinci.alloc at 0
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 4096>
  %p = arith.muli %n, %c9 : index
  %o = davinci.offset 0 + %p * 1
  // CHECK-NEXT: scf.for
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK-NEXT: [[p:%.*]] = arith.muli
    // CHECK-NEXT: [[o:%.*]] = davinci.offset 0 + [[p]] * 1
    // CHECK-NEXT: davinci.copy_gm_to_ubuf [[a]], %{{.*}}{{\[}}[[o]]], bursts 1, length 1
    davinci.copy_gm_to_ubuf %a, %x[%o], bursts 1, length 1
  }
}
