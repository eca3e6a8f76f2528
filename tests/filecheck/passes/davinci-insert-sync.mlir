// RUN: ascend-opt %s -p davinci-insert-sync --split-input-file | filecheck %s

// One slot: load and use take turns. The flag back is primed before the loop and drained behind it.
// CHECK-LABEL: @turns
davinci.kernel @turns(%x: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %b = davinci.alloc at 4096 : !davinci.buffer<ub, 4096>
  // CHECK: davinci.set_flag src V, dst MTE2, event 0
  // CHECK-NEXT: scf.for
  scf.for %i = %c0 to %c9 step %c1 {
    %a = davinci.alloc at 0 : !davinci.buffer<ub, 4096>
    %at = davinci.offset 0 + %i * 4096
    // CHECK: davinci.wait_flag src V, dst MTE2, event 0
    // CHECK-NEXT: davinci.copy_gm_to_ubuf
    // CHECK-NEXT: davinci.set_flag src MTE2, dst V, event 0
    davinci.copy_gm_to_ubuf %a, %x[%at], bursts 1, length 128
    // CHECK-NEXT: davinci.wait_flag src MTE2, dst V, event 0
    // The sum depends on the sum of the iteration before; the way round through the load orders them, no barrier.
    // CHECK-NEXT: davinci.vadd
    // CHECK-NEXT: davinci.set_flag src V, dst MTE2, event 0
    davinci.vadd f16 %b, %b, %a, repeat 16
  }
  // CHECK-NEXT: }
  // CHECK-NEXT: davinci.wait_flag src V, dst MTE2, event 0
}

// -----

// Two slots: the id is the counter of the ring, and a load runs one tile ahead.
// CHECK-LABEL: @ring
davinci.kernel @ring(%x: !davinci.gm, %y: !davinci.gm) blocks 1 {
  %t = davinci.alloc depth 2 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<ub, 8192>
  // CHECK: [[counter:%.*]] = davinci.counter 0
  %counter = davinci.counter 0 {ring = 0 : i64}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  // CHECK: davinci.set_flag src MTE3, dst MTE2, event 0
  // CHECK-NEXT: davinci.set_flag src MTE3, dst MTE2, event 1
  // CHECK-NEXT: scf.for
  scf.for %i = %c0 to %c9 step %c1 {
    %slot = davinci.offset 0 + %counter * 4096
    %at = davinci.offset 0 + %i * 4096
    // CHECK: davinci.wait_flag src MTE3, dst MTE2, event [[counter]]
    // CHECK-NEXT: davinci.copy_gm_to_ubuf
    // CHECK-NEXT: davinci.set_flag src MTE2, dst MTE3, event [[counter]]
    davinci.copy_gm_to_ubuf %t[%slot], %x[%at], bursts 1, length 128
    // CHECK-NEXT: davinci.wait_flag src MTE2, dst MTE3, event [[counter]]
    // CHECK-NEXT: davinci.copy_ubuf_to_gm
    // CHECK-NEXT: davinci.set_flag src MTE3, dst MTE2, event [[counter]]
    davinci.copy_ubuf_to_gm %y[%at], %t[%slot], bursts 1, length 128
    // CHECK-NEXT: davinci.ring_next
    davinci.ring_next %counter depth 2
  }
  // CHECK: davinci.wait_flag src MTE3, dst MTE2, event 0
  // CHECK-NEXT: davinci.wait_flag src MTE3, dst MTE2, event 1
}

// -----

// Sets and waits are balanced on every path: they stand outside of the if, or both inside.
// CHECK-LABEL: @branch
davinci.kernel @branch(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 4096>
  %p = arith.cmpi slt, %c0, %n : index
  // CHECK: davinci.copy_gm_to_ubuf
  // CHECK-NEXT: davinci.set_flag src MTE2, dst V, event 0
  // CHECK-NEXT: davinci.wait_flag src MTE2, dst V, event 0
  // CHECK-NEXT: scf.if
  davinci.copy_gm_to_ubuf %a, %x, bursts 1, length 128
  scf.if %p {
    // CHECK-NEXT: davinci.vrelu
    davinci.vrelu f16 %a, %a, repeat 16
  }
  // CHECK: davinci.set_flag src V, dst MTE3, event 0
  // CHECK-NEXT: davinci.wait_flag src V, dst MTE3, event 0
  // CHECK-NEXT: davinci.copy_ubuf_to_gm
  davinci.copy_ubuf_to_gm %x, %a, bursts 1, length 128
}
