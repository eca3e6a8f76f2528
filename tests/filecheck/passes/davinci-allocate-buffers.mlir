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
