// RUN: ascend-opt %s -p davinci-materialize-state | filecheck %s

davinci.kernel @state(%x: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 4096>
  // The defaults hold at the start.
  // CHECK: davinci.alloc at 0
  // CHECK-NEXT: davinci.vrelu
  davinci.vrelu f16 %a, %a, repeat 1
  // The whole loop wants one mask: it is set once, before it.
  // CHECK-NEXT: davinci.set_vector_mask mask_hi 0, mask_lo 255
  // CHECK-NEXT: scf.for
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK-NEXT: davinci.vrelu
    davinci.vrelu f16 %a, %a, repeat 1, mask_hi 0, mask_lo 255
  }
  // The loop runs, so the mask still holds.
  // CHECK: }
  // CHECK-NEXT: davinci.vexp
  davinci.vexp f16 %a, %a, repeat 1, mask_hi 0, mask_lo 255
  // CHECK-NEXT: scf.for
  scf.for %i = %c0 to %c9 step %c1 {
    // Two masks alternate: both are set in each iteration.
    // CHECK-NEXT: davinci.set_vector_mask mask_hi 0, mask_lo 15
    // CHECK-NEXT: davinci.vrelu
    // CHECK-NEXT: davinci.set_vector_mask mask_hi 0, mask_lo 7
    // CHECK-NEXT: davinci.vrelu
    davinci.vrelu f16 %a, %a, repeat 1, mask_hi 0, mask_lo 15
    davinci.vrelu f16 %a, %a, repeat 1, mask_hi 0, mask_lo 7
  }
  // In counter mode the mask plays no part.
  // CHECK: }
  // CHECK-NEXT: davinci.set_mask_count count 100
  // CHECK-NEXT: davinci.vrelu
  // CHECK-NEXT: davinci.set_mask_count count -1
  // CHECK-NEXT: davinci.set_vector_mask mask_hi 0, mask_lo 7
  // CHECK-NEXT: davinci.vrelu
  davinci.vrelu f16 %a, %a, repeat 1, count 100
  davinci.vrelu f16 %a, %a, repeat 1, mask_hi 0, mask_lo 7
}
