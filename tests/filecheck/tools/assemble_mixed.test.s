.kernel args=1 core=aic
arg r1, number=0
copy_gm_to_cbuf_multi_nd2nz.f16 l1[0], gm[r1], nd_num=1, n_value=16, d_value=16, src_d=16, dst_c0_stride=16
copy_matrix_cc_to_gm.f322f16 gm[r1], l0c[0], fb[0], 16, n=16, m=16, src_stride=16, relu=1, nz2nd=1
ffts_cross_core_sync pipe=FIX, mode=group, flag=3
end
.kernel args=1 core=aiv vectors=2
wait_flag_dev flag=3
end
