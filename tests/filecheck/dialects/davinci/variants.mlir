// RUN: ASCEND_ROUNDTRIP
// RUN: ASCEND_GENERIC

// Fields with a default are not printed; enumerations are printed by name.

// CHECK: davinci.kernel @variants(
davinci.kernel @variants(%x: !davinci.gm) blocks 1 {
  %l1 = davinci.alloc : !davinci.buffer<l1, 65536>
  %l0 = davinci.alloc : !davinci.buffer<l0a, 4096>
  %acc = davinci.alloc : !davinci.buffer<l0c, 4096>
  // CHECK: [[acc:%.*]] = davinci.alloc : !davinci.buffer<l0c, 4096>
  // CHECK-NEXT: [[a:%.*]] = davinci.alloc
  // CHECK-NEXT: [[b:%.*]] = davinci.alloc
  // CHECK-NEXT: [[c:%.*]] = davinci.alloc
  %a = davinci.alloc : !davinci.buffer<ub, 8192>
  %b = davinci.alloc : !davinci.buffer<ub, 8192>
  %c = davinci.alloc : !davinci.buffer<ub, 8192>
  // CHECK-NEXT: davinci.copy_matrix_cc_to_ubuf s322s8 [[a]], [[acc]], bursts 1, length 2, relu 1, store whole, deqscale 77
  davinci.copy_matrix_cc_to_ubuf s322s8 %a, %acc, bursts 1, length 2, relu 1, store whole, deqscale 77
  // CHECK-NEXT: davinci.copy_matrix_cc_to_ubuf_vdeq s322f16d [[a]], [[acc]], [[b]], bursts 1, length 4
  davinci.copy_matrix_cc_to_ubuf_vdeq s322f16d %a, %acc, %b, bursts 1, length 4, store low
  // CHECK-NEXT: davinci.vcmax f16 [[a]], [[b]], repeat 1, order index
  davinci.vcmax f16 %a, %b, repeat 1, order index
  // CHECK-NEXT: davinci.vcmin f16 [[a]], [[b]], repeat 1{{$}}
  davinci.vcmin f16 %a, %b, repeat 1, order value
  // CHECK-NEXT: davinci.vshr s16 [[a]], [[b]], scalar 3, repeat 1, round 1
  davinci.vshr s16 %a, %b, scalar 3, repeat 1, round 1
  // CHECK-NEXT: davinci.vselvs f16 [[a]], [[b]], [[c]], scalar 15360, repeat 2
  davinci.vselvs f16 %a, %b, %c, scalar 15360, repeat 2
  // CHECK-NEXT: davinci.vreducev u32 [[a]], [[b]], [[c]], repeat 2, bits_rep 0
  davinci.vreducev u32 %a, %b, %c, repeat 2, bits_rep 0
  // CHECK-NEXT: davinci.vpadding f16 [[a]], [[b]], repeat 1, pad_mode 1, side right
  davinci.vpadding f16 %a, %b, repeat 1, pad_mode 1, side right
  // CHECK-NEXT: davinci.v4dtrans u8 [[a]], [[b]], positions 32, channels 3, chw_to_hwc 1
  davinci.v4dtrans u8 %a, %b, positions 32, channels 3, chw_to_hwc 1
  // CHECK-NEXT: davinci.vbi f16 [[a]], [[b]], [[c]], [[c]][4096], h_repeat 4, v_repeat 2, v_offset 256, bytes [4096, 256, 2048, 16]
  davinci.vbi f16 %a, %b, %c, %c[4096], h_repeat 4, v_repeat 2, v_offset 256, bytes [4096, 256, 2048, 16]
  // CHECK-NEXT: davinci.load3dv1 f16 [[a]], %{{.*}}, left_top_w 0, left_top_h 0, repeat 2, fm_width 8, fm_height 4
  davinci.load3dv1 f16 %a, %l1, left_top_w 0, left_top_h 0, repeat 2, fm_width 8, fm_height 4
  // CHECK-NEXT: davinci.load3d f16 %{{.*}}, %{{.*}}, m_extent 16, k_extent 16, channels 16, fmatrix b, fmb_width 8, fmb_height 4
  davinci.load3d f16 %l0, %l1, m_extent 16, k_extent 16, channels 16, fmatrix b, fmb_width 8, fmb_height 4
  // CHECK-NEXT: davinci.scatter_vadd f16 [[a]], [[b]], [[c]][32], repeat 2, dst_va 0, src0_va 1, src1_va 2, src1_rep 0, va0_low 281479271743489, va1_high 7, bytes [512, 512, 512]
  davinci.scatter_vadd f16 %a, %b, %c[32], repeat 2, dst_va 0, src0_va 1, src1_va 2, src1_rep 0, va0_low 281479271743489, va1_high 7, bytes [512, 512, 512]
}
