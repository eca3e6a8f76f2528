// RUN: ascend-opt %s -p convert-nn-to-ascend,ascend-to-davinci | filecheck %s

builtin.module attributes {ascend.target = "Ascend310P3"} {
  func.func @main(%x: tensor<4x100xf16>, %p: tensor<112xf16>, %y: tensor<1x4096xf32>) -> (tensor<2x4x16xf16>, tensor<1x1x4096xf32>) {
    %0 = nn.group "Sort" (%x, %p) from ["best"] {
    ^bb0(%a: tensor<4x100xf16>, %b: tensor<112xf16>):
      %s = nn.sort %a, %b count 3 block 100 pieces 1 positions : (tensor<4x100xf16>, tensor<112xf16>) -> tensor<2x4x16xf16>
      nn.yield %s : tensor<2x4x16xf16>
    } : (tensor<4x100xf16>, tensor<112xf16>) -> tensor<2x4x16xf16>
    %1 = nn.group "Sort" (%y) from ["all"] {
    ^bb0(%a: tensor<1x4096xf32>):
      %s = nn.sort %a count 4096 block 512 pieces 1 : (tensor<1x4096xf32>) -> tensor<1x1x4096xf32>
      nn.yield %s : tensor<1x1x4096xf32>
    } : (tensor<1x4096xf32>) -> tensor<1x1x4096xf32>
    // Four rows on four cores. Places stand in the proposals for good; 100 keys end in their seventh group of 16. Seven lists
    // are merged as 4 + 3, then 2, and nobody needs more than 16 of each.
    // CHECK: davinci.kernel @sort_{{.*}} blocks 4
    // CHECK: davinci.vconcat f16 [[raw:%.*]], %{{.*}}, repeat 7, position 0
    // CHECK: [[keys:%.*]] = davinci.alloc depth 2 : !davinci.buffer<ub, 224>
    // CHECK: davinci.copy_gm_to_ubuf [[keys]], %{{.*}}, bursts 1, length 7
    // CHECK: davinci.vector_dup f16 [[keys]][192], value 64512, repeat 1, dst_rep 0, mask_hi 0, mask_lo 65520
    // CHECK: davinci.vconcat f16 [[raw]], [[keys]], repeat 7, position 4
    // CHECK: davinci.vbitsort f16 [[a:%.*]], [[raw]], repeat 7
    // CHECK: davinci.vmrgsort4 f16 [[b:%.*]], [[a]], [[a]][256], [[a]][512], [[a]][768], repeat 1, length0 16, length1 16, length2 16, length3 16
    // CHECK: davinci.vmrgsort4 f16 [[b]][1024], [[a]][1024], [[a]][1280], [[a]][1536], [[a]][1024], repeat 1, length0 16, length1 16, length2 16, valid 7
    // CHECK: davinci.vmrgsort4 f16 [[a]], [[b]], [[b]][1024], [[b]], [[b]], repeat 1, length0 16, length1 16, valid 3
    // CHECK: davinci.vextract f16 %{{.*}}, [[a]], repeat 1, position 4
    // CHECK: davinci.vextract f16 %{{.*}}, [[a]], repeat 1, position 0

    // All of a row of 8 blocks: the last block comes first, losers go to the workspace, and 7 passes more bring the rest.
    // CHECK: davinci.kernel @sort_{{.*}} blocks 1 attributes {workspace = array<i64: 131072>
    // CHECK: davinci.vmrgsort4 f32 %{{.*}}, repeat 8, length0 16, length1 16, length2 16, length3 16
    // CHECK: scf.for
    // CHECK: davinci.vmrgsort4 f32 [[m:%.*]], [[block:%.*]], [[best:%.*]], [[block]], [[block]], repeat 1, length0 512, length1 512, valid 3
    // CHECK-NEXT: davinci.copy_ubuf_to_ubuf [[best]], [[m]], bursts 1, length 512
    // CHECK: davinci.copy_ubuf_to_gm %{{.*}}, [[m]][16384], bursts 1, length 512
    // CHECK: scf.for
    // CHECK: scf.for
    // CHECK: davinci.vmrgsort4 f32 [[m]]
    func.return %0, %1 : tensor<2x4x16xf16>, tensor<1x1x4096xf32>
  }
}
