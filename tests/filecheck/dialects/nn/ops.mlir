// RUN: ASCEND_ROUNDTRIP
// RUN: ASCEND_GENERIC

func.func @ops(%x: tensor<1x4x8x8xf32>, %b: tensor<1x4x8x8xi1>, %s: tensor<f32>, %p: tensor<4x1x1xf32>, %w: tensor<6x2x3x3xf32>, %b6: tensor<6xf32>, %wt: tensor<4x3x2x2xf32>, %m: tensor<5x7xf32>, %b7: tensor<7xf32>, %g8: tensor<8xf32>, %c4: tensor<4xf32>, %i: tensor<2x3xi64>, %b0: tensor<1x16x1x2xf16>, %t: tensor<2x3x!nn.string>) {

  // bits, and kernels of the AI CPU
  // CHECK: nn.bit_and %i, %i : tensor<2x3xi64>
  %bit0 = nn.bit_and %i, %i : tensor<2x3xi64>
  // CHECK: nn.bit_or %i, %i : tensor<2x3xi64>
  %bit1 = nn.bit_or %i, %i : tensor<2x3xi64>
  // CHECK: nn.bit_xor %i, %i : tensor<2x3xi64>
  %bit2 = nn.bit_xor %i, %i : tensor<2x3xi64>
  // CHECK: nn.bit_not %i : tensor<2x3xi64>
  %bit3 = nn.bit_not %i : tensor<2x3xi64>
  // CHECK: nn.bit_cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi32>
  %bit4 = nn.bit_cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi32>
  // CHECK: nn.cpu_kernel %i kernel NonZero result 0 : (tensor<2x3xi64>) -> tensor<2x6xi64>
  %cpu0 = nn.cpu_kernel %i kernel NonZero result 0 : (tensor<2x3xi64>) -> tensor<2x6xi64>
  // CHECK: nn.cpu_kernel kernel RandomUniform seed 7 numbers [0.0, 1.0] : () -> tensor<4xf32>
  %cpu1 = nn.cpu_kernel kernel RandomUniform seed 7 numbers [0.0, 1.0] : () -> tensor<4xf32>

  // texts: words stand bare, what is none in quotes, letters beyond ASCII as bytes
  // CHECK: nn.cpu_kernel %t kernel RegexFullMatch pattern "a+\22\C3\A9" : (tensor<2x3x!nn.string>) -> tensor<2x3xi1>
  %text0 = nn.cpu_kernel %t kernel RegexFullMatch pattern "a+\22\C3\A9" : (tensor<2x3x!nn.string>) -> tensor<2x3xi1>
  // CHECK: nn.cpu_kernel %t kernel StringNormalizer result 0 case upper folds words ["", "b c", "\C3\A9"] : tensor<2x3x!nn.string>
  %text1 = nn.cpu_kernel %t kernel StringNormalizer result 0 case upper folds words ["", "b c", "\C3\A9"] : tensor<2x3x!nn.string>
  // CHECK: nn.transpose %t perm [1, 0] : (tensor<2x3x!nn.string>) -> tensor<3x2x!nn.string>
  %text2 = nn.transpose %t perm [1, 0] : (tensor<2x3x!nn.string>) -> tensor<3x2x!nn.string>
  // CHECK: nn.cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf8E4M3FN>
  %cpu2 = nn.cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf8E4M3FN>

  // elementwise, one operand
  // CHECK: nn.relu %x : tensor<1x4x8x8xf32>
  %r0 = nn.relu %x : tensor<1x4x8x8xf32>
  // CHECK: nn.neg %x : tensor<1x4x8x8xf32>
  %r1 = nn.neg %x : tensor<1x4x8x8xf32>
  // CHECK: nn.abs %x : tensor<1x4x8x8xf32>
  %r2 = nn.abs %x : tensor<1x4x8x8xf32>
  // CHECK: nn.exp %x : tensor<1x4x8x8xf32>
  %r3 = nn.exp %x : tensor<1x4x8x8xf32>
  // CHECK: nn.log %x : tensor<1x4x8x8xf32>
  %r4 = nn.log %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sqrt %x : tensor<1x4x8x8xf32>
  %r5 = nn.sqrt %x : tensor<1x4x8x8xf32>
  // CHECK: nn.rsqrt %x : tensor<1x4x8x8xf32>
  %r6 = nn.rsqrt %x : tensor<1x4x8x8xf32>
  // CHECK: nn.reciprocal %x : tensor<1x4x8x8xf32>
  %r7 = nn.reciprocal %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sigmoid %x : tensor<1x4x8x8xf32>
  %r8 = nn.sigmoid %x : tensor<1x4x8x8xf32>
  // CHECK: nn.tanh %x : tensor<1x4x8x8xf32>
  %r9 = nn.tanh %x : tensor<1x4x8x8xf32>
  // CHECK: nn.erf %x : tensor<1x4x8x8xf32>
  %r10 = nn.erf %x : tensor<1x4x8x8xf32>
  // CHECK: nn.floor %x : tensor<1x4x8x8xf32>
  %r11 = nn.floor %x : tensor<1x4x8x8xf32>
  // CHECK: nn.ceil %x : tensor<1x4x8x8xf32>
  %r12 = nn.ceil %x : tensor<1x4x8x8xf32>
  // CHECK: nn.round %x : tensor<1x4x8x8xf32>
  %r13 = nn.round %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sign %x : tensor<1x4x8x8xf32>
  %r14 = nn.sign %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sin %x : tensor<1x4x8x8xf32>
  %r15 = nn.sin %x : tensor<1x4x8x8xf32>
  // CHECK: nn.cos %x : tensor<1x4x8x8xf32>
  %r16 = nn.cos %x : tensor<1x4x8x8xf32>
  // CHECK: nn.atan %x : tensor<1x4x8x8xf32>
  %atan = nn.atan %x : tensor<1x4x8x8xf32>
  // CHECK: nn.softplus %x : tensor<1x4x8x8xf32>
  %r17 = nn.softplus %x : tensor<1x4x8x8xf32>
  // CHECK: nn.hard_swish %x : tensor<1x4x8x8xf32>
  %r18 = nn.hard_swish %x : tensor<1x4x8x8xf32>
  // CHECK: nn.not %b : tensor<1x4x8x8xi1>
  %r19 = nn.not %b : tensor<1x4x8x8xi1>
  // CHECK: nn.is_nan %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r20 = nn.is_nan %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.leaky_relu %x alpha 0.01 : tensor<1x4x8x8xf32>
  %r21 = nn.leaky_relu %x alpha 0.01 : tensor<1x4x8x8xf32>
  // CHECK: nn.elu %x alpha 1.0 : tensor<1x4x8x8xf32>
  %r22 = nn.elu %x alpha 1.0 : tensor<1x4x8x8xf32>
  // CHECK: nn.celu %x alpha 2.0 : tensor<1x4x8x8xf32>
  %r23 = nn.celu %x alpha 2.0 : tensor<1x4x8x8xf32>
  // CHECK: nn.selu %x alpha 1.6732632 gamma 1.050701 : tensor<1x4x8x8xf32>
  %r24 = nn.selu %x alpha 1.6732632 gamma 1.050701 : tensor<1x4x8x8xf32>
  // CHECK: nn.hard_sigmoid %x alpha 0.2 beta 0.5 : tensor<1x4x8x8xf32>
  %r25 = nn.hard_sigmoid %x alpha 0.2 beta 0.5 : tensor<1x4x8x8xf32>
  // CHECK: nn.clip %x min 0.0 max 6.0 : tensor<1x4x8x8xf32>
  %r26 = nn.clip %x min 0.0 max 6.0 : tensor<1x4x8x8xf32>
  // CHECK: nn.clip %x min -1.5e-05 : tensor<1x4x8x8xf32>
  %r27 = nn.clip %x min -1.5e-05 : tensor<1x4x8x8xf32>
  // CHECK: nn.gelu %x approximate tanh : tensor<1x4x8x8xf32>
  %r28 = nn.gelu %x approximate tanh : tensor<1x4x8x8xf32>
  // CHECK: nn.cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf16>
  %r29 = nn.cast %x : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf16>

  // elementwise, more operands
  // CHECK: nn.add %x, %x : tensor<1x4x8x8xf32>
  %r30 = nn.add %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sub %x, %x : tensor<1x4x8x8xf32>
  %r31 = nn.sub %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.mul %x, %x : tensor<1x4x8x8xf32>
  %r32 = nn.mul %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.div %x, %x : tensor<1x4x8x8xf32>
  %r33 = nn.div %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.max %x, %x : tensor<1x4x8x8xf32>
  %r34 = nn.max %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.min %x, %x : tensor<1x4x8x8xf32>
  %r35 = nn.min %x, %x : tensor<1x4x8x8xf32>
  // CHECK: nn.add %x, %s : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  %r36 = nn.add %x, %s : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.pow %x, %s : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  %r37 = nn.pow %x, %s : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.mod %x, %x fmod : tensor<1x4x8x8xf32>
  %r38 = nn.mod %x, %x fmod : tensor<1x4x8x8xf32>
  // CHECK: nn.prelu %x, %p : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %r39 = nn.prelu %x, %p : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r40 = nn.equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.less %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r41 = nn.less %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.less_equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r42 = nn.less_equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.greater %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r43 = nn.greater %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.greater_equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  %r44 = nn.greater_equal %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xi1>
  // CHECK: nn.and %b, %b : tensor<1x4x8x8xi1>
  %r45 = nn.and %b, %b : tensor<1x4x8x8xi1>
  // CHECK: nn.or %b, %b : tensor<1x4x8x8xi1>
  %r46 = nn.or %b, %b : tensor<1x4x8x8xi1>
  // CHECK: nn.xor %b, %b : tensor<1x4x8x8xi1>
  %r47 = nn.xor %b, %b : tensor<1x4x8x8xi1>
  // CHECK: nn.where %b, %x, %s : (tensor<1x4x8x8xi1>, tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>
  %r48 = nn.where %b, %x, %s : (tensor<1x4x8x8xi1>, tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x8x8xf32>

  // roots
  // CHECK: nn.conv %x, %w strides [2, 2] pads [1, 1, 1, 1] dilations [1, 1] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x4x4xf32>
  %r49 = nn.conv %x, %w strides [2, 2] pads [1, 1, 1, 1] dilations [1, 1] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x4x4xf32>
  // CHECK: nn.conv %x, %w, %b6 strides [1, 1] pads [2, 2, 2, 2] dilations [2, 2] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<1x6x8x8xf32>
  %r50 = nn.conv %x, %w, %b6 strides [1, 1] pads [2, 2, 2, 2] dilations [2, 2] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<1x6x8x8xf32>
  // CHECK: nn.conv_transpose %x, %wt strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] output_padding [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x17x17xf32>
  %r51 = nn.conv_transpose %x, %wt strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] output_padding [1, 1] group 1 : (tensor<1x4x8x8xf32>, tensor<4x3x2x2xf32>) -> tensor<1x3x17x17xf32>
  // CHECK: nn.matmul %m, %m trans_b : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x5xf32>
  %r52 = nn.matmul %m, %m trans_b : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x5xf32>
  // CHECK: nn.matmul %m, %m, %b7 trans_a : (tensor<5x7xf32>, tensor<5x7xf32>, tensor<7xf32>) -> tensor<7x7xf32>
  %r53 = nn.matmul %m, %m, %b7 trans_a : (tensor<5x7xf32>, tensor<5x7xf32>, tensor<7xf32>) -> tensor<7x7xf32>
  // CHECK: nn.attention %x, %x, %x, %x scale 0.5 : tensor<1x4x8x8xf32>
  %a0 = nn.attention %x, %x, %x, %x scale 0.5 : tensor<1x4x8x8xf32>
  %rp, %rw, %ri, %kp = "test.op"() : () -> (tensor<6x128xf32>, tensor<128x16xf32>, tensor<2x64xf32>, tensor<32xf32>)
  // CHECK: nn.top_k %rp count 3 : (tensor<6x128xf32>) -> tensor<6x3xf32>
  %k0 = nn.top_k %rp count 3 : (tensor<6x128xf32>) -> tensor<6x3xf32>
  // CHECK: nn.top_k %rp count 3 smallest positions : (tensor<6x128xf32>) -> tensor<6x3xi32>
  %k1 = nn.top_k %rp count 3 smallest positions : (tensor<6x128xf32>) -> tensor<6x3xi32>
  // CHECK: nn.sort %rp count 3 block 128 pieces 1 : (tensor<6x128xf32>) -> tensor<1x6x16xf32>
  %k2 = nn.sort %rp count 3 block 128 pieces 1 : (tensor<6x128xf32>) -> tensor<1x6x16xf32>
  // CHECK: nn.sort %rp, %kp, %rp count 20 block 32 pieces 2 positions : (tensor<6x128xf32>, tensor<32xf32>, tensor<6x128xf32>) -> tensor<4x6x64xf32>
  %k3 = nn.sort %rp, %kp, %rp count 20 block 32 pieces 2 positions : (tensor<6x128xf32>, tensor<32xf32>, tensor<6x128xf32>) -> tensor<4x6x64xf32>
  // CHECK: nn.recurrence %rp, %rw kind lstm direction bidirectional steps 3 : (tensor<6x128xf32>, tensor<128x16xf32>) -> tensor<6x32xf32>
  %rr = nn.recurrence %rp, %rw kind lstm direction bidirectional steps 3 : (tensor<6x128xf32>, tensor<128x16xf32>) -> tensor<6x32xf32>
  // CHECK: nn.recurrence %rp, %rw, %ri kind lstm direction bidirectional steps 3 last_cell : (tensor<6x128xf32>, tensor<128x16xf32>, tensor<2x64xf32>) -> tensor<8x32xf32>
  %rc = nn.recurrence %rp, %rw, %ri kind lstm direction bidirectional steps 3 last_cell : (tensor<6x128xf32>, tensor<128x16xf32>, tensor<2x64xf32>) -> tensor<8x32xf32>
  // CHECK: nn.to_terms %x : (tensor<1x4x8x8xf32>) -> tensor<1x12x8x8xf16>
  %t0 = nn.to_terms %x : (tensor<1x4x8x8xf32>) -> tensor<1x12x8x8xf16>
  // CHECK: nn.add_terms %x, %t0 : (tensor<1x4x8x8xf32>, tensor<1x12x8x8xf16>) -> tensor<1x4x8x8xf32>
  %t1 = nn.add_terms %x, %t0 : (tensor<1x4x8x8xf32>, tensor<1x12x8x8xf16>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.sum_terms %b0 : (tensor<1x16x1x2xf16>) -> tensor<16xf32>
  %b1 = nn.sum_terms %b0 : (tensor<1x16x1x2xf16>) -> tensor<16xf32>
  // CHECK: nn.max_pool %t0 kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] terms : (tensor<1x12x8x8xf16>) -> tensor<1x12x4x4xf16>
  %t2 = nn.max_pool %t0 kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] terms : (tensor<1x12x8x8xf16>) -> tensor<1x12x4x4xf16>
  // CHECK: nn.max_pool %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  %r54 = nn.max_pool %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  // CHECK: nn.avg_pool %x kernel [3, 3] strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] count_include_pad : tensor<1x4x8x8xf32>
  %r55 = nn.avg_pool %x kernel [3, 3] strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] count_include_pad : tensor<1x4x8x8xf32>
  // CHECK: nn.reduce %x kind mean axes [2, 3] keepdims : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
  %r56 = nn.reduce %x kind mean axes [2, 3] keepdims : (tensor<1x4x8x8xf32>) -> tensor<1x4x1x1xf32>
  // CHECK: nn.reduce %x kind log_sum_exp axes [1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8xf32>
  %r57 = nn.reduce %x kind log_sum_exp axes [1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8xf32>
  // CHECK: nn.arg_reduce %x kind max axis 1 last : (tensor<1x4x8x8xf32>) -> tensor<1x8x8xi64>
  %r58 = nn.arg_reduce %x kind max axis 1 last : (tensor<1x4x8x8xf32>) -> tensor<1x8x8xi64>
  // CHECK: nn.softmax %x axis 1 : tensor<1x4x8x8xf32>
  %r59 = nn.softmax %x axis 1 : tensor<1x4x8x8xf32>
  // CHECK: nn.log_softmax %x axis 3 : tensor<1x4x8x8xf32>
  %r60 = nn.log_softmax %x axis 3 : tensor<1x4x8x8xf32>
  // CHECK: nn.layer_norm %x, %g8, %g8 axis 3 epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8x8xf32>
  %r61 = nn.layer_norm %x, %g8, %g8 axis 3 epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.instance_norm %x, %c4, %c4 epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %r62 = nn.instance_norm %x, %c4, %c4 epsilon 1.0e-05 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.batch_norm %x, %c4, %c4, %c4, %c4 epsilon 0.001 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %r63 = nn.batch_norm %x, %c4, %c4, %c4, %c4 epsilon 0.001 : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.lrn %x size 5 alpha 0.0001 beta 0.75 bias 1.0 : tensor<1x4x8x8xf32>
  %r64 = nn.lrn %x size 5 alpha 0.0001 beta 0.75 bias 1.0 : tensor<1x4x8x8xf32>

  // moves
  // CHECK: nn.reshape %x : (tensor<1x4x8x8xf32>) -> tensor<4x64xf32>
  %r65 = nn.reshape %x : (tensor<1x4x8x8xf32>) -> tensor<4x64xf32>
  // CHECK: nn.transpose %x perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  %r66 = nn.transpose %x perm [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
  // CHECK: nn.slice %x starts [0, 0, 7, 0] sizes [1, 4, 4, 8] steps [1, 1, -2, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x8xf32>
  %r67 = nn.slice %x starts [0, 0, 7, 0] sizes [1, 4, 4, 8] steps [1, 1, -2, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x8xf32>
  // CHECK: nn.concat %x, %x, %x axis 1 : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x12x8x8xf32>
  %r68 = nn.concat %x, %x, %x axis 1 : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x12x8x8xf32>
  // CHECK: nn.pad %x pads [0, 0, 0, 1, 0, 0, 1, 1] mode constant value neg_inf : (tensor<1x4x8x8xf32>) -> tensor<1x4x9x10xf32>
  %r69 = nn.pad %x pads [0, 0, 0, 1, 0, 0, 1, 1] mode constant value neg_inf : (tensor<1x4x8x8xf32>) -> tensor<1x4x9x10xf32>
  // CHECK: nn.pad %x pads [0, 0, 1, 0, 0, 0, 1, 0] mode reflect : (tensor<1x4x8x8xf32>) -> tensor<1x4x10x8xf32>
  %r70 = nn.pad %x pads [0, 0, 1, 0, 0, 0, 1, 0] mode reflect : (tensor<1x4x8x8xf32>) -> tensor<1x4x10x8xf32>
  // CHECK: nn.resize %x mode nearest coordinate asymmetric nearest floor scales [1.0, 1.0, 2.0, 2.0] : (tensor<1x4x8x8xf32>) -> tensor<1x4x16x16xf32>
  %r71 = nn.resize %x mode nearest coordinate asymmetric nearest floor scales [1.0, 1.0, 2.0, 2.0] : (tensor<1x4x8x8xf32>) -> tensor<1x4x16x16xf32>
  // CHECK: nn.depth_to_space %x blocksize 2 mode CRD : (tensor<1x4x8x8xf32>) -> tensor<1x1x16x16xf32>
  %r72 = nn.depth_to_space %x blocksize 2 mode CRD : (tensor<1x4x8x8xf32>) -> tensor<1x1x16x16xf32>
  // CHECK: nn.space_to_depth %x blocksize 2 : (tensor<1x4x8x8xf32>) -> tensor<1x16x4x4xf32>
  %r73 = nn.space_to_depth %x blocksize 2 : (tensor<1x4x8x8xf32>) -> tensor<1x16x4x4xf32>
  // CHECK: nn.gather %x, %i axis 1 : (tensor<1x4x8x8xf32>, tensor<2x3xi64>) -> tensor<1x2x3x8x8xf32>
  %r74 = nn.gather %x, %i axis 1 : (tensor<1x4x8x8xf32>, tensor<2x3xi64>) -> tensor<1x2x3x8x8xf32>
  // CHECK: nn.expand %s : (tensor<f32>) -> tensor<1x4x8x8xf32>
  %r75 = nn.expand %s : (tensor<f32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.tile %x repeats [2, 1, 1, 1] : (tensor<1x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %r76 = nn.tile %x repeats [2, 1, 1, 1] : (tensor<1x4x8x8xf32>) -> tensor<2x4x8x8xf32>

  // constants
  // CHECK: nn.constant #nn.blob<"fc.w" : tensor<10x4xf32>> : tensor<10x4xf32>
  %r77 = nn.constant #nn.blob<"fc.w" : tensor<10x4xf32>> : tensor<10x4xf32>
  // CHECK: nn.constant #nn.blob<"fc \22w\22" : tensor<10x4xf32> | transpose [1, 0] | cast f16> : tensor<4x10xf16>
  %r78 = nn.constant #nn.blob<"fc \22w\22" : tensor<10x4xf32> | transpose [1, 0] | cast f16> : tensor<4x10xf16>
  // CHECK: nn.constant #nn.blob<"w" : tensor<64x3x7x7xf32> | mul0 ("bn.s" : tensor<64xf32> | div (splat 2.0 : tensor<f32>)) | reshape [64, 147]> : tensor<64x147xf32>
  %r79 = nn.constant #nn.blob<"w" : tensor<64x3x7x7xf32> | mul0 ("bn.s" : tensor<64xf32> | div (splat 2.0 : tensor<f32>)) | reshape [64, 147]> : tensor<64x147xf32>
  // CHECK: nn.constant #nn.blob<splat neg_inf : tensor<3x3xf16>> : tensor<3x3xf16>
  %r80 = nn.constant #nn.blob<splat neg_inf : tensor<3x3xf16>> : tensor<3x3xf16>
  // CHECK: nn.constant #nn.blob<dense [1, -2, 3] : tensor<3xi64>> : tensor<3xi64>
  %r81 = nn.constant #nn.blob<dense [1, -2, 3] : tensor<3xi64>> : tensor<3xi64>
  // CHECK: nn.constant #nn.blob<"a" : tensor<2x3xf32> | concat 1 ("b" : tensor<2x5xf32>) | pad [0, 0] [1, 8] 0.5> : tensor<3x16xf32>
  %r82 = nn.constant #nn.blob<"a" : tensor<2x3xf32> | concat 1 ("b" : tensor<2x5xf32>) | pad [0, 0] [1, 8] 0.5> : tensor<3x16xf32>
  // CHECK: nn.constant #nn.blob<"d" : tensor<4x1x3x3xf32> | flip [2, 3] | slice [0, 0, 0, 0] [2, 1, 3, 3] [2, 1, 1, 1]> : tensor<2x1x3x3xf32>
  %r83 = nn.constant #nn.blob<"d" : tensor<4x1x3x3xf32> | flip [2, 3] | slice [0, 0, 0, 0] [2, 1, 3, 3] [2, 1, 1, 1]> : tensor<2x1x3x3xf32>

  // groups
  // CHECK: nn.group "ConvRelu" (%x, %w) from ["layer.conv", "layer.relu"] {
  // CHECK-NEXT: ^{{.*}}(%a: tensor<1x4x8x8xf32>, %k: tensor<6x2x3x3xf32>):
  // CHECK-NEXT: [[C:%.*]] = nn.conv %a, %k strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x8x8xf32>
  // CHECK-NEXT: [[R:%.*]] = nn.relu [[C]] : tensor<1x6x8x8xf32>
  // CHECK-NEXT: nn.yield [[R]] : tensor<1x6x8x8xf32>
  // CHECK-NEXT: } : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x8x8xf32>
  %g = nn.group "ConvRelu" (%x, %w) from ["layer.conv", "layer.relu"] {
  ^bb0(%a: tensor<1x4x8x8xf32>, %k: tensor<6x2x3x3xf32>):
    %c = nn.conv %a, %k strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] group 2 : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x8x8xf32>
    %r = nn.relu %c : tensor<1x6x8x8xf32>
    nn.yield %r : tensor<1x6x8x8xf32>
  } : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x8x8xf32>
  func.return
}

// dimensions that are not known before run time
// CHECK: func.func @dynamic
func.func @dynamic(%x: tensor<?x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: nn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<?x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<?x6x6x6xf32>
  %0 = nn.conv %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] group 1 : (tensor<?x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<?x6x6x6xf32>
  // CHECK: nn.relu {{%.*}} : tensor<?x6x6x6xf32>
  %1 = nn.relu %0 : tensor<?x6x6x6xf32>
  func.return
}
