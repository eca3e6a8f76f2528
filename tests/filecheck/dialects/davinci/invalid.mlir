// RUN: ascend-opt %s --split-input-file --verify-diagnostics --parsing-diagnostics | filecheck %s

davinci.kernel @space(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<l1, 4096>
  davinci.vrelu f16 %a, %a, repeat 1
}
// CHECK: vrelu dst: expected memory ub, got l1

// -----

davinci.kernel @type(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.vexp s32 %a, %a, repeat 1
}
// CHECK: vexp data type: expected one of f16, f32, got s32

// -----

davinci.kernel @range(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.vrelu f16 %a, %a, repeat 256
}
// CHECK: vrelu repeat: expected 0 to 255, got 256

// -----

davinci.kernel @bytes(%x: !davinci.gm, %n: index) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.vrelu f16 %a, %a, repeat %n
}
// CHECK: vrelu: expected `bytes` (an extent per address) when a value is dynamic

// -----

davinci.kernel @blocks(%x: !davinci.gm) blocks 0 {
}
// CHECK: blocks: expected 1 to 65535, got 0

// -----

davinci.kernel @argument(%x: f32) blocks 1 {
}
// CHECK: kernel argument: expected !davinci.gm or index, got f32

// -----

davinci.kernel @name(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.vrelu f16 %a, %a, repeats 1
}
// CHECK: davinci.vrelu has no operand repeats

// -----

davinci.kernel @moving(%x: !davinci.gm, %n: index) blocks 1 {
  %p = davinci.induction %n step 64
}
// CHECK: an induction stands in the body of a loop

// -----

davinci.kernel @start(%x: !davinci.gm, %n: index) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %p = davinci.induction %i step 64
  }
}
// CHECK: the start of an induction must be known before its loop

// -----

davinci.kernel @carried(%x: !davinci.gm) blocks 1 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    %p = davinci.induction %c0 step 64
    scf.for %j = %c0 to %c4 step %c1 {
      %q = davinci.induction carried %p step 64
    }
  }
}
// CHECK: a carried induction makes the step of the one it starts at

// -----

davinci.kernel @boundary(%x: !davinci.gm) blocks 1 {
  %l1 = davinci.alloc : !davinci.buffer<l1, 4096>
  %l0 = davinci.alloc : !davinci.buffer<l0a, 4096>
  davinci.load3d f16 %l0, %l1, m_extent 16, k_extent 16, channels 16, l1_boundary 4096
}
// CHECK: load3d l1_boundary: expected 0, only machine code may set it

// -----

davinci.kernel @store(%x: !davinci.gm) blocks 1 {
  %acc = davinci.alloc : !davinci.buffer<l0c, 4096>
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.copy_matrix_cc_to_ubuf s322s8 %a, %acc, bursts 1, length 2, store both
}
// CHECK: store: expected one of low, high, whole, got both

// -----

davinci.kernel @scales(%x: !davinci.gm) blocks 1 {
  %acc = davinci.alloc : !davinci.buffer<l0c, 4096>
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.copy_matrix_cc_to_ubuf_vdeq f322f16 %a, %acc, %a, bursts 1, length 2
}
// CHECK: copy_matrix_cc_to_ubuf_vdeq data type: expected one of s322f16, s322s8, s322u8, s322f16d, s322s16, got f322f16

// -----

davinci.kernel @padding(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.vpadding f16 %a, %a, repeat 1, pad_mode 3, side left
}
// CHECK: vpadding pad_mode: expected 0 to 2, got 3

// -----

davinci.kernel @registers(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.scatter_vabs f16 %a, %a, repeat 1, dst_va 8, src_va 0
}
// CHECK: scatter_vabs dst_va: expected 0 to 7, got 8

// -----

davinci.kernel @mixed(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  davinci.scatter_vmla f32f16f16 %a, %a, %a, repeat 1, dst_va 0, src0_va 1, src1_va 2
}
// CHECK: scatter_vmla data type: expected one of f16, f32, got f32f16f16

// -----

davinci.kernel @words(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<ub, 4096>
  %row = davinci.load_scalar %a, bytes 9
}
// CHECK: load_scalar bytes: expected 1 to 8, got 9

// -----

davinci.kernel @where(%x: !davinci.gm) blocks 1 {
  %a = davinci.alloc : !davinci.buffer<l1, 4096>
  %row = davinci.load_scalar %a, bytes 4
}
// CHECK: load_scalar src: expected memory gm or ub, got l1
