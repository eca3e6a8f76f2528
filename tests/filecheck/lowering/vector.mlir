// RUN: ascend-opt %s -p ascend-to-davinci | filecheck %s

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<4096x1024xf16>, %a: tensor<1000x1000xf16>, %m: tensor<1x64x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> (tensor<4096x1024xf16>, tensor<1000x1000xf16>, tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>) {
    // 16 rows at a time: fold, join the lanes of 16 blocks, spread the 16 results to blocks, broadcast these.
    // CHECK: davinci.kernel @softmax_{{.*}} blocks 8
    // CHECK: scf.for
    // CHECK: [[x:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 32768>
    // CHECK: davinci.copy_gm_to_ubuf [[x]], %{{.*}}, bursts 1, length 1024
    // CHECK: davinci.vmax f16
    // CHECK: davinci.vcgmax f16 [[top:%.*]], %{{.*}}, repeat 1, count 256
    // CHECK: davinci.vnchwconv f16 %{{.*}}, [[top]], repeat 1, dst_rep 16, src_rep 1, dst_row_stride 1, src_row_stride 0
    // CHECK: davinci.vsub f32 %{{.*}}, repeat 16, src1_blk 0, src1_rep 0
    // CHECK: davinci.vexp f32 %{{.*}}, count 16384
    // CHECK: davinci.vcgadd f32 %{{.*}}, repeat 1, count 128
    // CHECK: davinci.vnchwconv f32
    // CHECK: davinci.vmul f32 %{{.*}}, repeat 16, src1_blk 0, src1_rep 0
    // CHECK: [[y:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 32768>
    // CHECK: davinci.copy_ubuf_to_gm %{{.*}}, [[y]], bursts 1, length 1024
    %0 = ascend.group "Softmax" (%x) engine vector schedule #ascend.schedule<> {
    ^bb0(%b: tensor<4096x1024xf16>):
      %s = nn.softmax %b axis 1 : tensor<4096x1024xf16>
      nn.yield %s : tensor<4096x1024xf16>
    } : (tensor<4096x1024xf16>) -> tensor<4096x1024xf16>

    // One run of a million elements; the last tile's count follows from the tensor's size.
    // CHECK: davinci.kernel @add_relu_{{.*}} blocks 8
    // CHECK: davinci.vadd f16 %{{.*}}, repeat 1, count [[n:%.*]], bytes
    // CHECK-NEXT: davinci.alloc depth 2
    // CHECK-NEXT: davinci.vrelu f16 %{{.*}}, repeat 1, count [[n]], bytes
    %1 = ascend.group "AddRelu" (%a) engine vector schedule #ascend.schedule<mode = flat, rows = 1, columns = 25984, blocks = 8> {
    ^bb0(%b: tensor<1000x1000xf16>):
      %t = nn.add %b, %b : tensor<1000x1000xf16>
      %s = nn.relu %t : tensor<1000x1000xf16>
      nn.yield %s : tensor<1000x1000xf16>
    } : (tensor<1000x1000xf16>) -> tensor<1000x1000xf16>

    // Eight output rows need 17 input rows; rows above the plane hold -inf. The stride is a block stride.
    // CHECK: davinci.kernel @max_pool_{{.*}} blocks 8
    // CHECK: davinci.copy_gm_to_ubuf %{{.*}}, length 112, dst_gap 1
    // CHECK: davinci.vector_dup f16 %{{.*}}, value 64512
    // CHECK: davinci.vmax f16 %{{.*}}, src0_blk 2, src1_blk 2
    // CHECK: davinci.vmax f16 %{{.*}}, src1_blk 2
    // CHECK: davinci.copy_ubuf_to_gm %{{.*}}, bursts 1, length 448
    %2 = ascend.group "MaxPool" (%m) engine vector schedule #ascend.schedule<> {
    ^bb0(%b: tensor<1x64x112x112xf16>):
      %s = nn.max_pool %b kernel [3, 3] strides [2, 2] pads [1, 1, 1, 1] dilations [1, 1] : (tensor<1x64x112x112xf16>) -> tensor<1x64x56x56xf16>
      nn.yield %s : tensor<1x64x56x56xf16>
    } : (tensor<1x64x112x112xf16, #ascend.layout<NC1HWC0, c0 = 16>>) -> tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
    func.return %0, %1, %2 : tensor<4096x1024xf16>, tensor<1000x1000xf16>, tensor<1x64x56x56xf16, #ascend.layout<NC1HWC0, c0 = 16>>
  }
}
