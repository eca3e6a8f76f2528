// RUN: ASCEND_ROUNDTRIP
// RUN: ASCEND_GENERIC

// CHECK: davinci.kernel @add(%{{.*}}: !davinci.gm, %{{.*}}: !davinci.gm, %{{.*}}: index) blocks 8
davinci.kernel @add(%x: !davinci.gm, %y: !davinci.gm, %n: index) blocks 8 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  // CHECK: [[core:%.*]] = davinci.block_idx
  // CHECK-NEXT: davinci.block_num
  %core = davinci.block_idx
  %cores = davinci.block_num
  // CHECK-NEXT: [[a:%.*]] = davinci.alloc : !davinci.buffer<ub, 4096>
  // CHECK-NEXT: [[ring:%.*]] = davinci.alloc depth 2 at 4096 : !davinci.buffer<ub, 8192>
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  %ring = davinci.alloc depth 2 at 4096 : !davinci.buffer<ub, 8192>
  // CHECK-NEXT: [[counter:%.*]] = davinci.counter 0
  %counter = davinci.counter 0
  // CHECK-NEXT: scf.for [[i:%.*]] =
  scf.for %i = %c0 to %c4 step %c1 {
    // CHECK-NEXT: [[at:%.*]] = davinci.offset 128 + [[core]] * 40960 + [[i]] * 4096
    %at = davinci.offset 128 + %core * 40960 + %i * 4096
    // CHECK-NEXT: davinci.copy_gm_to_ubuf [[a]][256], %{{.*}}{{\[}}[[at]]], bursts 1, length %{{.*}}, bytes [4096, 4096]
    davinci.copy_gm_to_ubuf %a[256], %x[%at], bursts 1, length %n, bytes [4096, 4096]
    // CHECK-NEXT: davinci.vadd f16 [[a]], [[a]], [[ring]][256], repeat 8, src1_rep 0, mask_hi 0, mask_lo 65535 {body_op = 3 : i64}
    davinci.vadd f16 %a, %a, %ring[256], repeat 8, src1_rep 0, mask_hi 0, mask_lo 65535 {body_op = 3 : i64}
    // CHECK-NEXT: [[row:%.*]] = davinci.load_scalar [[a]][64], bytes 4
    %row = davinci.load_scalar %a[64], bytes 4
    // CHECK-NEXT: davinci.store_scalar [[a]], a [[row]], bytes 8, bytes [8]
    davinci.store_scalar %a, a %row, bytes 8, bytes [8]
    // CHECK-NEXT: davinci.vcmpv f16 [[ring]], [[a]], [[a]], condition ge, repeat 2
    davinci.vcmpv f16 %ring, %a, %a, condition ge, repeat 2
    // CHECK-NEXT: davinci.set_flag src V, dst MTE3, event [[counter]]
    davinci.set_flag src V, dst MTE3, event %counter
    // CHECK-NEXT: davinci.wait_flag src V, dst MTE3, event [[counter]]
    davinci.wait_flag src V, dst MTE3, event %counter
    // CHECK-NEXT: davinci.pipe_barrier pipe ALL
    davinci.pipe_barrier pipe ALL
    // CHECK-NEXT: davinci.copy_ubuf_to_gm %{{.*}}, [[a]], bursts 1, length 128
    davinci.copy_ubuf_to_gm %y, %a, bursts 1, length 128
    // CHECK-NEXT: [[moving:%.*]] = davinci.induction primary [[counter]] step 512
    %moving = davinci.induction primary %counter step 512
    // CHECK-NEXT: davinci.induction [[counter]] step -1
    %other = davinci.induction %counter step -1
    // CHECK-NEXT: davinci.break_if [[i]]
    davinci.break_if %i
    // CHECK-NEXT: davinci.ring_next [[counter]] depth 2
    davinci.ring_next %counter depth 2
  }
}
