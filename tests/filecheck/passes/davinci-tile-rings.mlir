// RUN: ascend-opt %s -p davinci-tile-rings | filecheck %s

// Two rings come round in 8 turns: slots of depth 2 are the innermost index, those of depth 4 its sum with the next one.
// CHECK: davinci.kernel @round
davinci.kernel @round(%x: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %a = davinci.alloc depth 4 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<l1, 16384>
  // CHECK-NOT: davinci.counter
  %four = davinci.counter 0 {ring = 0 : i64}
  %two = davinci.counter 0 {ring = 1 : i64}
  // CHECK: scf.for [[o:%.*]] =
  // CHECK-NEXT: scf.for [[m:%.*]] =
  // CHECK-NEXT: scf.for [[s:%.*]] =
  scf.for %i = %c0 to %c8 step %c1 {
    // CHECK-NEXT: davinci.offset 0 + [[s]] * 4096 + [[m]] * 8192
    %slot = davinci.offset 0 + %four * 4096
    // CHECK-NEXT: davinci.offset 64 + [[s]] * 512 + [[m]] * 1024 + [[o]] * 2048
    %from = davinci.offset 64 + %i * 512
    // CHECK-NEXT: davinci.wait_flag src MTE1, dst MTE2, event [[s]]
    davinci.wait_flag src MTE1, dst MTE2, event %two
    davinci.copy_gm_to_cbuf %a[%slot], %x[%from], bursts 1, length 16
    // CHECK-NOT: davinci.ring_next
    davinci.ring_next %four depth 4
    davinci.ring_next %two depth 2
  }
}

// A loop of 3 goes round 6 slots in two of its executions: what is left of the counter advances outside.
// CHECK: davinci.kernel @part
davinci.kernel @part(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %a = davinci.alloc depth 6 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<l1, 24576>
  // CHECK: [[half:%.*]] = davinci.counter 0
  %six = davinci.counter 0 {ring = 0 : i64}
  // CHECK: scf.for
  scf.for %o = %c0 to %n step %c1 {
    // CHECK-NEXT: scf.for [[i:%.*]] =
    scf.for %i = %c0 to %c3 step %c1 {
      // CHECK-NEXT: davinci.offset 0 + [[i]] * 4096 + [[half]] * 12288
      %slot = davinci.offset 0 + %six * 4096
      davinci.copy_gm_to_cbuf %a[%slot], %x, bursts 1, length 16
      davinci.ring_next %six depth 6
    }
    // CHECK: davinci.ring_next [[half]] depth 2
  }
}

// Seven turns of three slots: the next execution goes on in the middle, so the counter stays.
// CHECK: davinci.kernel @stays
davinci.kernel @stays(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %a = davinci.alloc depth 3 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<l1, 12288>
  // CHECK: [[counter:%.*]] = davinci.counter 0
  %three = davinci.counter 0 {ring = 0 : i64}
  scf.for %o = %c0 to %n step %c1 {
    scf.for %i = %c0 to %c7 step %c1 {
      // CHECK: davinci.offset 0 + [[counter]] * 4096
      %slot = davinci.offset 0 + %three * 4096
      davinci.copy_gm_to_cbuf %a[%slot], %x, bursts 1, length 16
      // CHECK: davinci.ring_next [[counter]] depth 3
      davinci.ring_next %three depth 3
    }
  }
}

// A loop that never runs, and one that is left early, stay as they are.
// CHECK: davinci.kernel @odd
davinci.kernel @odd(%x: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %a = davinci.alloc depth 2 at 0 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<l1, 8192>
  // CHECK: [[never:%.*]] = davinci.counter 0
  %never = davinci.counter 0 {ring = 0 : i64}
  // CHECK-NEXT: [[left:%.*]] = davinci.counter 0
  %left = davinci.counter 0 {ring = 1 : i64}
  scf.for %i = %c0 to %c0 step %c1 {
    %slot = davinci.offset 0 + %never * 4096
    davinci.copy_gm_to_cbuf %a[%slot], %x, bursts 1, length 16
    // CHECK: davinci.ring_next [[never]] depth 2
    davinci.ring_next %never depth 2
  }
  scf.for %i = %c0 to %c4 step %c1 {
    %slot = davinci.offset 0 + %left * 4096
    davinci.copy_gm_to_cbuf %a[%slot], %x, bursts 1, length 16
    // CHECK: davinci.break_if
    davinci.break_if %i
    // CHECK-NEXT: davinci.ring_next [[left]] depth 2
    davinci.ring_next %left depth 2
  }
}
