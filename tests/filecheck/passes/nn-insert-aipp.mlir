// RUN: ascend-opt %s -p 'nn-insert-aipp{config="aipp_op { aipp_mode: static input_format: RGB888_U8 src_image_size_w: 16 src_image_size_h: 16 crop: true load_start_pos_w: 2 load_start_pos_h: 4 crop_size_w: 8 crop_size_h: 8 mean_chn_0: 124 mean_chn_1: 117 mean_chn_2: 104 }"}' | filecheck %s
// RUN: ascend-opt %s -p 'nn-insert-aipp{config="aipp_op { aipp_mode: static input_format: YUV420SP_U8 csc_switch: true }"}' | filecheck %s --check-prefix=YUV

func.func @main(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32> {
  %y = nn.relu %x : tensor<1x3x8x8xf32>
  func.return %y : tensor<1x3x8x8xf32>
}

// CHECK:       func.func @main(%x: tensor<1x16x16x3xui8>) -> tensor<1x3x8x8xf32> {
// CHECK-NEXT:    [[crop:%.*]] = nn.slice %x starts [0, 4, 2, 0] sizes [1, 8, 8, 3] steps [1, 1, 1, 1]
// CHECK-NEXT:    [[planes:%.*]] = nn.transpose [[crop]] perm [0, 3, 1, 2]
// CHECK-NEXT:    [[float:%.*]] = nn.cast [[planes]] : (tensor<1x3x8x8xui8>) -> tensor<1x3x8x8xf32>
// CHECK-NEXT:    [[mean:%.*]] = nn.constant #nn.blob<dense [124.0, 117.0, 104.0] : tensor<1x3x1x1xf32>>
// CHECK-NEXT:    [[pixel:%.*]] = nn.sub [[float]], [[mean]]
// CHECK-NEXT:    %y = nn.relu [[pixel]] : tensor<1x3x8x8xf32>

// Luma and chroma of 8 x 8 pixels are 12 rows of 8 bytes; 298 / 256 = 1.1640625.
// YUV:       func.func @main(%x: tensor<1x12x8x1xui8>) -> tensor<1x3x8x8xf32> {
// YUV:         nn.resize {{%.*}} mode nearest coordinate asymmetric nearest floor
// YUV:         nn.constant #nn.blob<splat 1.1640625 : tensor<f32>>
// YUV:         nn.constant #nn.blob<splat -0.49804688 : tensor<f32>>
// YUV:         nn.constant #nn.blob<splat 12582912.0 : tensor<f32>>
// YUV:         nn.constant #nn.blob<splat -12582912.0 : tensor<f32>>
// YUV:         nn.clip {{%.*}} min 0.0 max 255.0
// YUV:         nn.concat
