// RUN: ascend-opt %s -p davinci-hoist-scalars | filecheck %s

// CHECK: davinci.kernel @hoist
davinci.kernel @hoist(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  // CHECK: davinci.alloc
  // Known before the loops, and the same in both: once.
  // CHECK-NEXT: [[length:%.*]] = arith.minsi
  // CHECK-NEXT: scf.for [[i:%.*]] =
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK-NEXT: [[bursts:%.*]] = arith.muli [[i]], [[i]] : index
    // CHECK-NEXT: scf.for [[j:%.*]] =
    scf.for %j = %c0 to %c9 step %c1 {
      %length = arith.minsi %n, %c9 : index
      %bursts = arith.muli %i, %i : index
      // CHECK-NEXT: davinci.copy_gm_to_ubuf %{{.*}}, %{{.*}}, bursts [[bursts]], length [[length]], bytes [4096, 4096]
      davinci.copy_gm_to_ubuf %a, %x, bursts %bursts, length %length, bytes [4096, 4096]
    }
    %again = arith.minsi %n, %c9 : index
    // CHECK: davinci.copy_gm_to_ubuf %{{.*}}, %{{.*}}, bursts 1, length [[length]], bytes [4096, 4096]
    davinci.copy_gm_to_ubuf %a, %x, bursts 1, length %again, bytes [4096, 4096]
  }
}
