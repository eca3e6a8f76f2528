// RUN: ascend-opt %s -p davinci-lower-addresses | filecheck %s

// CHECK: davinci.kernel @tiles
davinci.kernel @tiles(%x: !davinci.gm) blocks 8 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 65536>
  // CHECK: [[core:%.*]] = davinci.block_idx
  // CHECK-NEXT: [[slab:%.*]] = arith.muli [[core]], %{{.*}} : index
  %core = davinci.block_idx
  // CHECK-NEXT: scf.for [[i:%.*]] =
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK-NEXT: [[row:%.*]] = arith.muli [[i]], %{{.*}} : index
    // CHECK-NEXT: [[base:%.*]] = arith.addi [[slab]], [[row]] : index
    // CHECK-NEXT: scf.for [[j:%.*]] =
    scf.for %j = %c0 to %c9 step %c1 {
      // CHECK-NEXT: [[column:%.*]] = arith.muli [[j]], %{{.*}} : index
      // CHECK-NEXT: [[place:%.*]] = arith.addi [[base]], [[column]] : index
      %from = davinci.offset 128 + %core * 40960 + %i * 4096 + %j * 64
      // CHECK-NEXT: [[from:%.*]] = davinci.offset 128 + [[place]] * 1
      // On chip the address is an immediate: two registers are left for the offset.
      // CHECK-NEXT: [[to:%.*]] = davinci.offset 0 + [[row]] * 1 + [[column]] * 1
      %to = davinci.offset 0 + %i * 4096 + %j * 64
      // CHECK-NEXT: davinci.copy_gm_to_ubuf %{{.*}}{{\[}}[[to]]], %{{.*}}{{\[}}[[from]]], bursts 1, length 2
      davinci.copy_gm_to_ubuf %a[%to], %x[%from], bursts 1, length 2
    }
  }
}
