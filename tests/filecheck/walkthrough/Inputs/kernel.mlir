// The kernel of Conv + Add + Relu on [1, 64, 56, 56] as the cube generator writes it, with names and without repeated
// scalar arithmetic.  8 blocks: 4 bands of 14 output rows times 2 halves of the 64 output channels; tiles of 2 rows
// (m = 112), one C1 slice of the input (k = 9 taps of 16 channels = 144) at a time.
builtin.module attributes {ascend.target = "Ascend310P3"} {
  davinci.kernel @conv_add_relu(%x: !davinci.gm, %w: !davinci.gm, %b: !davinci.gm, %r: !davinci.gm, %y: !davinci.gm) blocks 8 {
    %m1 = arith.constant -1 : index
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c3 = arith.constant 3 : index
    %c4 = arith.constant 4 : index
    %c7 = arith.constant 7 : index
    %c9 = arith.constant 9 : index
    %c14 = arith.constant 14 : index
    %c55 = arith.constant 55 : index
    %c56 = arith.constant 56 : index
    %c3136 = arith.constant 3136 : index
    %core = davinci.block_idx
    %half = arith.remui %core, %c2 : index
    %band = arith.divui %core, %c2 : index
    %first_row = arith.muli %band, %c14 : index
    %bias = davinci.alloc : !davinci.buffer<ub, 128>
    %bias_rows = davinci.alloc : !davinci.buffer<ub, 1024>
    %bias_at = davinci.offset 0 + %half * 128
    davinci.copy_gm_to_ubuf %bias, %b[%bias_at], bursts 1, length 4
    davinci.vadds f32 %bias_rows, %bias, scalar 0, repeat 2, dst_blk 2, src_blk 0, dst_rep 16, src_rep 2
    davinci.vadds f32 %bias_rows[32], %bias[32], scalar 0, repeat 2, dst_blk 2, src_blk 0, dst_rep 16, src_rep 2
    %weights = davinci.alloc : !davinci.buffer<l1, 36864>
    scf.for %t = %c0 to %c7 step %c1 {
      %row = arith.muli %t, %c2 : index
      %out = arith.addi %first_row, %row : index
      %above = arith.addi %out, %m1 : index
      %clipped = arith.maxsi %above, %c0 : index
      %top = arith.minsi %clipped, %c55 : index
      %below = arith.addi %out, %c3 : index
      %bottom = arith.minsi %below, %c56 : index
      %rows = arith.subi %bottom, %top : index
      %pad_top = arith.subi %top, %above : index
      %pad_bottom = arith.subi %below, %bottom : index
      %res = davinci.alloc depth 2 : !davinci.buffer<ub, 7168>
      %tile = davinci.offset 0 + %half * 200704 + %band * 25088 + %t * 3584
      davinci.copy_gm_to_ubuf %res, %r[%tile], bursts 2, length 112, src_gap 3024, bytes [7168, 103936]
      %c = davinci.alloc depth 2 : !davinci.buffer<l0c, 14336>
      davinci.broadcast_ub_to_cc f32 %c, %bias_rows, bursts 2, length 7, src_gap 2, bytes [14336, 1024]
      scf.for %k = %c0 to %c4 step %c1 {
        %slab = davinci.alloc depth 6 : !davinci.buffer<l1, 7168>
        %slab_at = davinci.offset 0 + %top * 1792 + %k * 100352
        %length = arith.muli %rows, %c56 : index
        %rest = arith.subi %c3136, %length : index
        davinci.copy_gm_to_cbuf %slab, %x[%slab_at], bursts 1, length %length, src_gap %rest, bytes [7168, 7168]
        %first = arith.cmpi eq, %t, %c0 : index
        %bursts = arith.select %first, %c9, %c0 : index
        %piece = davinci.offset 0 + %k * 9216
        %weights_at = davinci.offset 0 + %k * 18432 + %half * 1024
        davinci.copy_gm_to_cbuf %weights[%piece], %w[%weights_at], bursts %bursts, length 32, src_gap 32, bytes [9216, 17408]
        %a = davinci.alloc depth 2 : !davinci.buffer<l0a, 32256>
        %kn = davinci.alloc depth 2 : !davinci.buffer<l0b, 9216>
        davinci.load3d f16 %a, %slab, m_extent 112, k_extent 144, filter_w 3, filter_h 3, channels 16, fm_width 56, fm_height %rows, pad_left 1, pad_right 1, pad_top %pad_top, pad_bottom %pad_bottom, bytes [32256, 7168]
        davinci.load2d f16 %kn, %weights[%piece], repeat 18
        davinci.mad f32f16f16 %c, %a, %kn, m 112, k 144, n 32
      }
      %u = davinci.alloc depth 2 : !davinci.buffer<ub, 7168>
      davinci.copy_matrix_cc_to_ubuf f322f16 %u, %c, bursts 1, length 14
      davinci.vadd f16 %u, %u, %res, repeat 28
      davinci.vrelu f16 %u, %u, repeat 28
      davinci.copy_ubuf_to_gm %y[%tile], %u, bursts 2, length 112, dst_gap 3024, bytes [103936, 7168]
    }
  }
}
