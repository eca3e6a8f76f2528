// RUN: ascend-opt %s -p davinci-allocate-buffers --split-input-file --verify-diagnostics | filecheck %s

// Room enough: everybody has bytes of his own.
// CHECK-LABEL: @roomy
davinci.kernel @roomy(%x: !davinci.gm) blocks 1 {
  // CHECK-NEXT: davinci.alloc at 0 : !davinci.buffer<ub, 4096>
  // CHECK-NEXT: davinci.alloc at 4096 : !davinci.buffer<ub, 100>
  // CHECK-NEXT: davinci.alloc at 4224 : !davinci.buffer<ub, 4096>
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  %b = davinci.alloc : !davinci.buffer<ub, 100>
  %c = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.copy_gm_to_ubuf %a, %x, bursts 1, length 128
  davinci.vrelu f16 %b, %a, repeat 1, mask_lo 255, mask_hi 0
  davinci.vrelu f16 %c, %b, repeat 1, mask_lo 255, mask_hi 0
}

// -----

// 3 x 128 KB into 256 KB: the third tile takes the place of the first, which is dead by then.
// CHECK-LABEL: @tight
davinci.kernel @tight(%x: !davinci.gm) blocks 1 {
  // CHECK-NEXT: davinci.alloc at 0 : !davinci.buffer<ub, 131072>
  // CHECK-NEXT: davinci.alloc at 131072 : !davinci.buffer<ub, 131072>
  // CHECK-NEXT: davinci.alloc at 0 : !davinci.buffer<ub, 131072>
  %a = davinci.alloc : !davinci.buffer<ub, 131072>
  %b = davinci.alloc : !davinci.buffer<ub, 131072>
  %c = davinci.alloc : !davinci.buffer<ub, 131072>
  davinci.copy_gm_to_ubuf %a, %x, bursts 1, length 4096
  davinci.copy_ubuf_to_ubuf %b, %a, bursts 1, length 4096
  davinci.copy_ubuf_to_ubuf %c, %b, bursts 1, length 4096
  davinci.copy_ubuf_to_gm %x, %c, bursts 1, length 4096
}

// -----

// A ring whose first slot is filled before its loop keeps its bytes to the end: between two runs of the inner loop it holds
// what was loaded ahead.  The first of the others is dead before that and shares, the second is not.
// CHECK-LABEL: @ahead
davinci.kernel @ahead(%x: !davinci.gm) blocks 1 {
  // CHECK-NEXT: davinci.alloc depth 2 at 0 {ring = 0 : i64, slot = 65536 : i64} : !davinci.buffer<ub, 131072>
  // CHECK:      davinci.alloc at 0 : !davinci.buffer<ub, 131072>
  // CHECK:      davinci.alloc at 131072 : !davinci.buffer<ub, 131072>
  %ring = davinci.alloc depth 2 {ring = 0 : i64, slot = 65536 : i64} : !davinci.buffer<ub, 131072>
  %now = davinci.counter 0 {ring = 0 : i64}
  %next = davinci.counter 1 {ring = 1 : i64, ahead = 0 : i64}
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %three = arith.constant 3 : index
  %before = davinci.alloc : !davinci.buffer<ub, 131072>
  davinci.copy_gm_to_ubuf %before, %x, bursts 1, length 4096
  davinci.copy_ubuf_to_gm %x, %before, bursts 1, length 4096
  davinci.copy_gm_to_ubuf %ring, %x, bursts 1, length 2048
  scf.for %i = %zero to %three step %one {
    scf.for %j = %zero to %three step %one {
      %ahead = davinci.offset 0 + %next * 65536
      davinci.copy_gm_to_ubuf %ring[%ahead], %x, bursts 1, length 2048
      %here = davinci.offset 0 + %now * 65536
      davinci.copy_ubuf_to_gm %x, %ring[%here], bursts 1, length 2048
      davinci.ring_next %now depth 2
      davinci.ring_next %next depth 2
    }
    %behind = davinci.alloc : !davinci.buffer<ub, 131072>
    davinci.copy_gm_to_ubuf %behind, %x, bursts 1, length 4096
    davinci.copy_ubuf_to_gm %x, %behind, bursts 1, length 4096
  }
}
