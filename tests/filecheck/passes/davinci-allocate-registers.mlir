// RUN: ascend-opt %s -p davinci-allocate-registers | filecheck %s

// %y and %n are not used: no register. The index of a loop lives to its end, %first through the whole loop.
// CHECK: davinci.kernel @load(%{{.*}}: !davinci.gm, %{{.*}}: !davinci.gm, %{{.*}}: index) blocks 8 attributes {argument_registers = array<i64: 0, -1, -1>}
davinci.kernel @load(%x: !davinci.gm, %y: !davinci.gm, %n: index) blocks 8 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %c512 = arith.constant 512 : index
  %a = davinci.alloc at 0 : !davinci.buffer<ub, 4096>
  // CHECK: davinci.block_idx {reg = 1 : i64}
  %core = davinci.block_idx
  // CHECK-NEXT: arith.muli %{{.*}}, %{{.*}} {reg = 1 : i64} : index
  %first = arith.muli %core, %c512 : index
  // CHECK-NEXT: arith.muli %{{.*}}, %{{.*}} : index
  %dead = arith.muli %core, %c9 : index
  scf.for %i = %c0 to %c9 step %c1 {
    // CHECK: arith.muli %{{.*}}, %{{.*}} {reg = 3 : i64} : index
    %p = arith.muli %i, %c512 : index
    // CHECK-NEXT: arith.addi %{{.*}}, %{{.*}} {reg = 3 : i64} : index
    %s = arith.addi %first, %p : index
    %at = davinci.offset 64 + %s * 1
    davinci.copy_gm_to_ubuf %a, %x[%at], bursts 1, length 16
  // CHECK: } {reg = 2 : i64}
  }
}
