// RUN: ascend-opt %s -p davinci-double-buffer | filecheck %s

// A tile of two slots; a buffer in the kernel body has one instance.
// CHECK: davinci.kernel @relu
davinci.kernel @relu(%x: !davinci.gm, %y: !davinci.gm) blocks 1 {
  // CHECK-NEXT: [[tile:%.*]] = davinci.alloc depth 2 {ring = 0 : i64, slot = 4096 : i64} : !davinci.buffer<ub, 8192>
  // CHECK-NEXT: [[counter:%.*]] = davinci.counter 0 {ring = 0 : i64}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  // CHECK: davinci.alloc : !davinci.buffer<ub, 32>
  %once = davinci.alloc depth 2 : !davinci.buffer<ub, 32>
  davinci.copy_gm_to_ubuf %once, %x, bursts 1, length 1
  // CHECK: scf.for [[i:%.*]] =
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK-NEXT: [[slot:%.*]] = davinci.offset 0 + [[counter]] * 4096
    %tile = davinci.alloc depth 2 : !davinci.buffer<ub, 4096>
    // CHECK-NEXT: [[at:%.*]] = davinci.offset 0 + [[i]] * 2048
    // CHECK-NEXT: [[half:%.*]] = davinci.offset 0 + [[i]] * 2048 + [[counter]] * 4096
    %at = davinci.offset 0 + %i * 2048
    // CHECK-NEXT: davinci.copy_gm_to_ubuf [[tile]]{{\[}}[[slot]]], %{{.*}}{{\[}}[[at]]], bursts 1, length 128
    davinci.copy_gm_to_ubuf %tile, %x[%at], bursts 1, length 128
    // CHECK-NEXT: davinci.vrelu f16 [[tile]]{{\[}}[[half]]], [[tile]]{{\[}}[[half]]], repeat 8
    davinci.vrelu f16 %tile[%at], %tile[%at], repeat 8
    // CHECK-NEXT: davinci.ring_next [[counter]] depth 2
  }
}
